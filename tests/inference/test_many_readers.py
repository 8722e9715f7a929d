"""Many threads on one segmenter get what each would get alone."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from fake_networks import ComponentNet, SmallCompact, box_volume

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter
from seganypet.pet import PetVolume


def run_together(segmenter, requests):
    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(lambda request: segmenter.segment(*request), requests))


def test_two_clicks_on_one_study_encode_once():
    net = ComponentNet()
    volumes = [box_volume((32, 32, 32), ((8, 12), (8, 12), (8, 12))) for _ in range(16)]
    masks = run_together(ClickSegmenter(net), [(volume, [Click((10, 10, 10))]) for volume in volumes])
    assert len(net.encoded) == 1
    assert len(net.decoded) == 1
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


def test_sixteen_readers_get_the_masks_they_would_get_alone():
    net = SmallCompact()
    rng = np.random.default_rng(1)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    volumes = [PetVolume(rng.gamma(1.0, 1.0, (24, 24, 50)).astype(np.float32), affine) for _ in range(2)]
    requests = [
        (volumes[number % 2], [Click((8 + 3 * n, 4 + number, 20 + 9 * n), n != 1) for n in range(1 + number % 3)])
        for number in range(16)
    ]
    alone = [ClickSegmenter(net, max_windows=2).segment(*request) for request in requests[:4]]
    together = run_together(ClickSegmenter(net, max_windows=2), requests)
    one_after_another = ClickSegmenter(net, max_windows=2)
    for number, request in enumerate(requests):
        assert np.array_equal(together[number], one_after_another.segment(*request)), f"reader {number}"
    assert all(np.array_equal(mask, together[number]) for number, mask in enumerate(alone))
    assert any(mask.any() for mask in together)
    assert not all(mask.all() for mask in together)
