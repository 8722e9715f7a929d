"""The segmenter against the same network called by hand."""

import numpy as np
import torch
from fake_networks import SmallCompact

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter, weights_hash
from seganypet.pet import PetVolume


def test_it_is_the_networks_own_click_loop():
    net = SmallCompact()
    voxels = np.random.default_rng(0).gamma(1.0, 1.0, (16, 16, 16)).astype(np.float32)
    volume = PetVolume(voxels, np.diag([3.0, 3.0, 3.0, 1.0]))  # one window, on the working grid already
    clicks = [Click((8, 9, 10)), Click((3, 9, 10), False), Click((10, 11, 8))]
    segmenter = ClickSegmenter(net, half_storage=False, rules=False)
    masks = [segmenter.segment(volume, clicks[: number + 1]) for number in range(3)]
    with torch.inference_mode():
        embedding = net.encode(torch.asinh(torch.tensor(voxels))[None, None])
        logits = torch.zeros(1, 1, 16, 16, 16)
        for number in range(3):
            points = torch.tensor([[click.ijk for click in clicks[: number + 1]]])
            labels = torch.tensor([[float(click.positive) for click in clicks[: number + 1]]])
            logits = net.decode(embedding, points, labels, logits)
            assert np.array_equal(masks[number], (logits[0, 0] > 0).numpy())
    assert 0 < masks[2].sum() < masks[2].size


def test_half_precision_storage_changes_hardly_anything():
    net = SmallCompact()
    voxels = np.random.default_rng(0).gamma(1.0, 1.0, (16, 16, 16)).astype(np.float32)
    volume = PetVolume(voxels, np.diag([3.0, 3.0, 3.0, 1.0]))
    half, full = (ClickSegmenter(net, half_storage=each).segment(volume, [Click((8, 9, 10))]) for each in (True, False))
    assert (half ^ full).mean() < 0.01


def test_the_hash_tells_weights_apart():
    nets = [torch.nn.Linear(3, 2) for _ in range(2)]
    assert weights_hash(nets[0]) != weights_hash(nets[1])
    nets[1].load_state_dict(nets[0].state_dict())
    assert weights_hash(nets[0]) == weights_hash(nets[1])
