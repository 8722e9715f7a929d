"""Later clicks on a target that the finest rung cannot hold, with networks whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fake_networks import ComponentNet, box_volume

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter
from seganypet.networks import Rung

FINE = Rung(1.0, 16)  # 16 mm beside windows of 32 mm
ORGAN = ((4, 14), (4, 14), (4, 40))  # voxels of 2 mm, 72 mm long
FAR, ON_BORDER = Click((9, 9, 9)), Click((9, 13, 30))


class Sloppy(ComponentNet):
    """Answers a voxel of 2 mm too far on its coarse rung, exactly on its fine one."""

    def __init__(self, close_ups=True):
        super().__init__(stride=1, finer=(FINE,), window=32)
        self.settings = replace(self.settings, spacing_mm=2.0, close_ups=close_ups)
        self.looked_close = 0

    def decode_close_up(self, *prompts):
        self.looked_close += 1
        return self.decode(*prompts)

    def decode(self, embedding, points=None, point_labels=None, mask_logits=None):
        logits = super().decode(embedding, points, point_labels, mask_logits)
        return F.max_pool3d(logits, 3, stride=1, padding=1) if embedding.shape[-1] == 32 else logits


def organ():
    return box_volume((40, 40, 60), ORGAN, suv=3.0)


def test_a_later_click_is_looked_at_close_up_where_it_was_made():
    net, volume = Sloppy(), organ()
    segmenter = ClickSegmenter(net)
    first, details = segmenter.segment_with_details(volume, [FAR])
    assert details.spacing_mm == (2.0,)
    exact = volume.voxels > 0
    assert (first & ~exact).any()
    encoded = len(net.encoded)
    second, details = segmenter.segment_with_details(volume, [FAR, ON_BORDER])
    assert details.spacing_mm == (2.0,)
    assert details.targets == 1
    assert [image.shape[-1] for image in net.encoded[encoded:]] == [16]
    assert net.looked_close == 1
    points, labels, prompt = net.decoded[-1]
    assert (points[0, -1] - 8).abs().max() <= 0.5
    assert labels.tolist() == [[1.0]]  # the first click lies outside
    assert prompt[0, 0, 8, 4, 8] > 0
    assert prompt[0, 0, 8, 14, 8] <= 0
    # exact around the click, as it was far from it, and without a face between the two
    i, j, k = ON_BORDER.voxel
    near = (slice(i - 1, i + 2), slice(j - 3, j + 4), slice(k - 1, k + 2))
    assert np.array_equal(second[near], exact[near])
    assert not np.array_equal(first[near], exact[near])
    assert np.array_equal(second[..., :22], first[..., :22])
    edges = [int(np.flatnonzero(second[i, :, n]).max()) for n in range(22, 39)]
    assert np.abs(np.diff(edges)).max() <= 1


def test_weights_that_were_not_trained_for_it_do_not_look():
    net, volume = Sloppy(close_ups=False), organ()
    ClickSegmenter(net).segment(volume, [FAR, ON_BORDER])
    assert [image.shape[-1] for image in net.encoded].count(16) == 1  # of the first click


def test_a_small_target_is_not_looked_at_again():
    net, volume = Sloppy(), box_volume((40, 40, 60), ((18, 21), (18, 21), (28, 31)), suv=3.0)
    _, details = ClickSegmenter(net).segment_with_details(volume, [Click((19, 19, 29)), Click((19, 20, 29))])
    assert (details.spacing_mm, details.windows_decoded) == ((1.0,), 2)


class Bridgeless(Sloppy):
    """Parts what is thinner than five voxels of its fine rung, beside a negative click."""

    def decode(self, embedding, points=None, point_labels=None, mask_logits=None):
        if points is None:  # a window that the target is followed into
            return super().decode(embedding, None, None, mask_logits)
        positive = point_labels[0] == 1  # it knows no other way to say no
        logits = super().decode(embedding, points[:, positive], point_labels[:, positive], mask_logits)
        if embedding.shape[-1] == 16 and not positive.all():
            logits = -F.max_pool3d(-logits, 5, stride=1, padding=2)
            logits = torch.where(F.max_pool3d(logits, 5, stride=1, padding=2) > 0, 1.0, -1.0)
        return logits


def test_what_a_close_up_cuts_off_goes_with_it():
    bridge = ((9, 10), (9, 10), (14, 34))
    volume = box_volume((40, 40, 60), ((4, 14), (4, 14), (4, 14)), bridge, ((4, 14), (4, 14), (34, 44)), suv=3.0)
    clicks = [Click((8, 8, 8)), Click((9, 9, 24), positive=False)]
    segmenter = ClickSegmenter(Bridgeless())
    first = segmenter.segment(volume, clicks[:1])
    assert first[8, 8, 40]
    second = segmenter.segment(volume, clicks)
    assert second[8, 8, 8]
    assert not second[9, 9, 24]
    assert not second[..., 30:].any()


def test_answers_with_close_ups_follow_from_the_list_alone():
    volume = organ()
    clicks = [FAR, ON_BORDER, Click((9, 15, 31), False), Click((13, 9, 20))]
    step_by_step = ClickSegmenter(Sloppy())
    masks = [step_by_step.segment(volume, clicks[:count]) for count in range(1, 5)]
    assert len({mask.tobytes() for mask in masks}) == 4
    for count in range(1, 5):
        assert np.array_equal(ClickSegmenter(Sloppy()).segment(volume, clicks[:count]), masks[count - 1])
    undone, details = step_by_step.segment_with_details(volume, clicks[:2])
    assert details.windows_decoded == 0
    assert np.array_equal(undone, masks[1])
    for click in clicks:
        assert masks[3][click.voxel] == click.positive


@pytest.mark.parametrize("flips", [(0,), (1, 2), (0, 1, 2)])
def test_a_volume_stored_flipped_gives_the_flipped_mask(flips):
    rng = np.random.default_rng(1)
    noise = 0.1 * rng.random((40, 40, 60), np.float32)
    volume = type(organ())(organ().voxels + noise, np.diag([2.2, 1.9, 2.1, 1.0]))
    clicks = [FAR, ON_BORDER, Click((9, 15, 31), False)]
    mask = ClickSegmenter(Sloppy()).segment(volume, clicks)
    affine = volume.affine.copy()
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
        affine[:3, axis] *= -1
    turned = [
        Click(
            tuple(n - 1 - c if a in flips else c for a, (n, c) in enumerate(zip(volume.shape, one.ijk, strict=True))),
            one.positive,
        )
        for one in clicks
    ]
    found = ClickSegmenter(Sloppy()).segment(type(volume)(np.flip(volume.voxels, flips), affine), turned)
    assert mask.any()
    assert np.array_equal(np.flip(found, flips), mask)


def test_a_target_stays_where_a_click_lies_beside_it_by_less_than_a_cell():
    volume = organ()
    mask = ClickSegmenter(Sloppy()).segment(volume, [Click((9, 14.4, 9)), ON_BORDER])
    assert mask[9, 9, 30]
    assert mask[9, 9, 9]


def test_without_rules_nothing_is_left_out():
    bridge = ((9, 10), (9, 10), (14, 34))
    volume = box_volume((40, 40, 60), ((4, 14), (4, 14), (4, 14)), bridge, ((4, 14), (4, 14), (34, 44)), suv=3.0)
    clicks = [Click((8, 8, 8)), Click((9, 9, 24), positive=False)]
    assert ClickSegmenter(Bridgeless(), rules=False).segment(volume, clicks)[8, 8, 40]
