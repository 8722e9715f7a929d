"""Which rung answers what, with a network whose answers are known: it selects the hot region that was clicked."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_networks import ComponentNet, box_volume

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter
from seganypet.networks import Rung

FINE = Rung(1.0, 12)  # 12 mm beside windows of 32 mm
NODE = ((18, 21), (18, 21), (28, 31))  # voxels of 2 mm
ORGAN = ((4, 14), (4, 14), (4, 40))  # 72 mm long


def ladder_net():
    return ComponentNet(stride=1, finer=(FINE,))


def segmenter(net=None):
    return ClickSegmenter(net or ladder_net())


def test_a_small_target_is_answered_in_one_fine_window_centred_on_the_click():
    net, volume = ladder_net(), box_volume((40, 40, 60), NODE, ORGAN, suv=3.0)
    mask, details = segmenter(net).segment_with_details(volume, [Click((19, 19, 29))])
    assert details.spacing_mm == (1.0,)
    assert (details.windows_encoded, details.windows_decoded) == (1, 1)
    assert details.prepare_s == 0  # the volume was not resampled
    assert net.encoded[0].shape == (1, 1, 12, 12, 12)
    ((points, _, prompt),) = net.decoded
    assert np.abs(points.numpy() - 6).max() <= 0.5
    assert not prompt.any()
    expected = np.zeros(volume.shape, dtype=bool)
    expected[18:21, 18:21, 28:31] = True
    assert np.array_equal(mask, expected)


def test_a_target_that_leaves_it_goes_on_on_the_coarser_rung_with_the_finer_answer_as_prompt():
    net, volume = ladder_net(), box_volume((40, 40, 60), NODE, ORGAN, suv=3.0)
    mask, details = segmenter(net).segment_with_details(volume, [Click((9, 9, 9))])
    assert details.spacing_mm == (2.0,)
    assert net.encoded[1].shape == (1, 1, 16, 16, 16)
    handed = net.decoded[1][2][0, 0]
    point = net.decoded[1][0][0, 0].round().int().tolist()
    where = (handed > 0).nonzero()
    assert handed[tuple(point)] > 0
    # 6 of the window's cells of 2 mm, all of them inside the organ, centred on the click to half a cell
    assert where.max(0).values.sub(where.min(0).values).tolist() == [5, 5, 5]
    assert (where.float().mean(0) - net.decoded[1][0][0, 0]).abs().max() <= 1
    expected = np.zeros(volume.shape, dtype=bool)
    expected[4:14, 4:14, 4:40] = True
    assert np.array_equal(mask, expected)  # followed from window to window, without a cut at any face


def test_a_target_does_not_go_down_again():
    volume = box_volume((40, 40, 60), ORGAN, suv=3.0)
    segment = segmenter()
    clicks = [Click((9, 9, 9)), Click((9, 9, 30)), Click((9, 9, 10), False)]
    for count in (1, 2, 3):
        _, details = segment.segment_with_details(volume, clicks[:count])
        assert details.spacing_mm == (2.0,)


def test_a_click_in_the_coarse_answer_outside_the_first_fine_window_is_of_the_same_target():
    volume = box_volume((40, 40, 60), ORGAN, suv=3.0)
    mask, details = segmenter().segment_with_details(volume, [Click((9, 9, 9)), Click((9, 9, 35))])
    assert details.targets == 1
    assert mask[4:14, 4:14, 4:40].all()


def test_a_second_node_outside_the_fine_window_is_a_target_of_its_own():
    volume = box_volume((40, 40, 60), NODE, ((18, 21), (18, 21), (40, 43)), suv=3.0)
    mask, details = segmenter().segment_with_details(volume, [Click((19, 19, 29)), Click((19, 19, 41))])
    assert details.targets == 2
    assert details.spacing_mm == (1.0, 1.0)
    assert np.array_equal(mask, volume.voxels > 0)


def test_answers_follow_from_the_list_alone():
    volume = box_volume((40, 40, 60), NODE, ORGAN, suv=3.0)
    clicks = [Click((19, 19, 29)), Click((9, 9, 9)), Click((19, 20, 29), False), Click((9, 9, 30))]
    step_by_step = segmenter()
    masks = [step_by_step.segment(volume, clicks[:count]) for count in range(1, 5)]
    for count in range(1, 5):
        assert np.array_equal(segmenter().segment(volume, clicks[:count]), masks[count - 1])
    undone, details = step_by_step.segment_with_details(volume, clicks[:2])
    assert details.windows_decoded == 0
    assert np.array_equal(undone, masks[1])


@pytest.mark.parametrize("flips", [(0,), (1, 2), (0, 1, 2)])
def test_a_volume_stored_flipped_gives_the_flipped_mask(flips):
    rng = np.random.default_rng(1)
    volume = box_volume((40, 37, 51), ((17, 21), (18, 22), (28, 31)), suv=3.0)
    volume = type(volume)(volume.voxels + 0.1 * rng.random(volume.shape, np.float32), np.diag([2.2, 1.9, 2.7, 1.0]))
    click = (19, 19, 29)
    mask = segmenter().segment(volume, [Click(click)])
    affine = volume.affine.copy()
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
        affine[:3, axis] *= -1
    other = tuple(n - 1 - c if a in flips else c for a, (n, c) in enumerate(zip(volume.shape, click, strict=True)))
    found = segmenter().segment(type(volume)(np.flip(volume.voxels, flips), affine), [Click(other)])
    assert mask.any()
    assert np.array_equal(np.flip(found, flips), mask)


def test_a_fine_window_of_a_volume_without_suv_sees_what_the_coarse_one_does():
    suv = box_volume((40, 40, 60), NODE, ORGAN, suv=3.0)
    bq = type(suv)(suv.voxels * 7000, suv.affine, units="BQML")
    net = ladder_net()
    mask = segmenter(net).segment(bq, [Click((19, 19, 29))])
    assert mask[18:21, 18:21, 28:31].all()
    assert net.encoded[0].sinh().max() < 10


class Fussy(ComponentNet):
    """Unsure of everything on its fine rung: a logit of a half where it is hot."""

    def decode(self, embedding, points=None, point_labels=None, mask_logits=None):
        logits = super().decode(embedding, points, point_labels, mask_logits)
        return logits - 2.0 if embedding.shape[-1] == FINE.window_size else logits


def test_a_first_click_that_the_fine_rung_is_unsure_of_is_the_coarser_ones_where_that_is_surer():
    volume = box_volume((40, 40, 60), NODE, ORGAN, suv=3.0)
    net = Fussy(stride=1, finer=(FINE,))
    mask, details = segmenter(net).segment_with_details(volume, [Click((19, 19, 29))])
    assert details.spacing_mm == (2.0,)
    assert mask[18:21, 18:21, 28:31].all()
    assert not net.decoded[1][2].any()  # nothing was handed over


def test_a_click_in_the_cold_that_both_rungs_deny_stays_small_and_fine():
    volume = box_volume((40, 40, 60), NODE, ORGAN, suv=3.0)
    mask, details = segmenter().segment_with_details(volume, [Click((30, 30, 20))])
    assert details.spacing_mm == (1.0,)
    assert mask[30, 30, 20]
    assert 0 < mask.sum() * 0.008 < 0.3  # mL
    again, details = segmenter().segment_with_details(volume, [Click((30, 30, 20)), Click((31, 30, 20))])
    assert details.windows_decoded == 3  # the coarser rung is asked at the first click only
    assert again[31, 30, 20]


def test_a_first_answer_is_cut_where_its_weights_say():
    volume = box_volume((40, 40, 60), NODE, suv=3.0)
    clicks = [Click((19, 19, 29)), Click((20, 19, 29))]
    plain, offset = ladder_net(), ladder_net()
    offset.settings = replace(offset.settings, first_answer_offset=0.4)  # cut at SUV 0.1 instead of 0.5
    first, calibrated = (segmenter(net).segment(volume, clicks[:1]) for net in (plain, offset))
    assert first.sum() < calibrated.sum()
    assert not (first & ~calibrated).any()
    # of a second click the half is left, and what it is prompted with is the network's own answer
    second, eased = (segmenter(net).segment(volume, clicks) for net in (plain, offset))
    offset.settings = replace(offset.settings, first_answer_offset=0.2)
    assert np.array_equal(eased, segmenter(offset).segment(volume, clicks[:1]))
    assert second.sum() < eased.sum() <= calibrated.sum()
    # with a negative click it stands as it is
    clicks.append(Click((30, 30, 20), positive=False))
    assert np.array_equal(segmenter(offset).segment(volume, clicks), segmenter(plain).segment(volume, clicks))
    assert torch.equal(offset.decoded[-1][2], plain.decoded[-1][2])
