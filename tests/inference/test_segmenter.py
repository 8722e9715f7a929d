import numpy as np
import pytest
import torch
from fake_networks import ComponentNet, box_volume

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter
from seganypet.pet import PetVolume

CUBE = ((8, 12), (8, 12), (8, 12))
OTHER = ((30, 36), (30, 36), (50, 54))


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_one_click_selects_what_it_touches():
    volume = box_volume((40, 40, 60), CUBE, OTHER, suv=1.0)
    mask, details = ClickSegmenter(ComponentNet(stride=1)).segment_with_details(volume, [Click((10, 10, 10))])
    expected = np.zeros(volume.shape, dtype=bool)
    expected[8:12, 8:12, 8:12] = True
    assert mask.dtype == bool
    assert np.array_equal(mask, expected)
    assert (details.windows_encoded, details.windows_decoded, details.clicks_decoded, details.targets) == (1, 1, 1, 1)
    assert not details.cut_off


@pytest.mark.parametrize("clicks", [[], [Click((10, 10, 10), positive=False)]])
def test_without_a_positive_click_the_mask_is_empty(component_net, clicks):
    mask = ClickSegmenter(component_net).segment(box_volume((40, 40, 60), CUBE), iter(clicks))
    assert mask.shape == (40, 40, 60)
    assert not mask.any()
    assert not component_net.encoded


def test_the_first_click_goes_with_zeros_and_the_next_with_the_previous_logits(component_net):
    volume = box_volume((32, 32, 32), CUBE)
    clicks = [Click((10, 10, 10)), Click((9, 9, 9)), Click((6, 6, 6), positive=False)]
    ClickSegmenter(component_net).segment(volume, clicks)
    (_, _, first), (_, _, second), (points, labels, third) = component_net.decoded
    assert len(component_net.encoded) == 1
    assert first.shape == (1, 1, 8, 8, 8)
    assert not first.any()
    assert (second > 0).sum() > 0
    assert torch.equal(second, third)
    # 32 voxels hold three windows of 16 along each axis; the one from 0 has its centre nearest to voxel 10
    assert points.tolist() == [[[10, 10, 10], [9, 9, 9], [6, 6, 6]]]
    assert labels.tolist() == [[1, 1, 0]]


def test_newest_only_sends_one_point_at_a_time():
    net = ComponentNet(points="newest")
    ClickSegmenter(net).segment(box_volume((32, 32, 32), CUBE), [Click((10, 10, 10)), Click((6, 6, 6), False)])
    assert [points.tolist() for points, _, _ in net.decoded] == [[[[10, 10, 10]]], [[[6, 6, 6]]]]


def test_a_window_of_its_own_is_centred_on_the_click():
    net = ComponentNet(placement="click")
    volume = box_volume((32, 32, 32), CUBE)
    mask = ClickSegmenter(net).segment(volume, [Click((10, 9, 3))])
    window = torch.sinh(net.encoded[0][0, 0])
    assert net.decoded[0][0].tolist() == [[[8, 8, 8]]]
    # voxel 8 of the window is the clicked one; 5 planes lie before the volume's first
    assert torch.allclose(window[6:10, 7:11, 13:16], torch.tensor(2.0))
    assert not window[:, :, :5].any()
    assert mask[10, 9, 3]  # the click lies beside the cube: it brings the cells around it, of 4 mm, and no more
    assert mask.sum() <= 2**3 * 7


def test_an_answered_list_and_its_prefixes_are_not_decoded_again(component_net):
    segmenter = ClickSegmenter(component_net)
    volume = box_volume((32, 32, 32), CUBE)
    clicks = [Click((10, 10, 10)), Click((9, 9, 9)), Click((11, 9, 9))]
    whole = segmenter.segment(volume, clicks)
    assert len(component_net.decoded) == 3
    segmenter.segment(volume, clicks[:1])
    segmenter.segment(volume, clicks[:2])
    again = segmenter.segment(volume, clicks)
    assert len(component_net.decoded) == 3
    assert np.array_equal(whole, again)
    again[:] = True  # the caller's own
    assert np.array_equal(segmenter.segment(volume, clicks), whole)
    _, details = segmenter.segment_with_details(volume, [*clicks, Click((9, 10, 9))])
    assert (details.clicks_decoded, details.windows_encoded, details.embeddings_remembered) == (1, 0, 1)


def test_the_same_voxels_under_another_name_are_not_encoded_again(component_net):
    segmenter = ClickSegmenter(component_net)
    segmenter.segment(box_volume((32, 32, 32), CUBE), [Click((10, 10, 10))])
    segmenter.segment(box_volume((32, 32, 32), CUBE), [Click((9, 10, 10))])
    assert len(component_net.encoded) == 1
    segmenter.clear()
    segmenter.segment(box_volume((32, 32, 32), CUBE), [Click((9, 10, 10))])
    assert len(component_net.encoded) == 2


def test_the_answer_does_not_depend_on_what_is_remembered():
    volume = box_volume((40, 40, 60), ((4, 30), (6, 12), (8, 50)), OTHER)
    clicks = [Click((10, 8, 20)), Click((32, 32, 52)), Click((29, 7, 9))]
    forgetful = ClickSegmenter(ComponentNet(), cache_bytes=0, image_bytes=0, state_bytes=0)
    remembering = ClickSegmenter(ComponentNet())
    remembering.encode_ahead(volume)
    for number in (3, 1, 2):
        assert np.array_equal(forgetful.segment(volume, clicks[:number]), remembering.segment(volume, clicks[:number]))
    assert forgetful.encoder.embeddings.bytes_held == 0


def test_embeddings_stay_within_their_bytes():
    net = ComponentNet()
    one = 8**3 * 2  # a window's embedding in half precision
    segmenter = ClickSegmenter(net, cache_bytes=3 * one)
    volume = box_volume((64, 16, 16), *(((i, i + 2), (6, 8), (6, 8)) for i in range(2, 64, 8)))
    for i in range(2, 64, 8):
        segmenter.segment(volume, [Click((i, 6, 6))])
        assert segmenter.encoder.embeddings.bytes_held <= 3 * one
    assert len(segmenter.encoder.embeddings) == 3


@pytest.mark.parametrize("placement", ["grid", "click"])
def test_a_target_larger_than_a_window_is_followed(placement):
    net = ComponentNet(placement=placement, stride=1)
    rod = ((10, 70), (12, 18), (12, 18))  # 60 voxels in windows of 16
    volume = box_volume((80, 30, 30), rod, ((10, 70), (24, 28), (12, 18)), suv=1.0)
    mask, details = ClickSegmenter(net).segment_with_details(volume, [Click((15, 15, 15))])
    expected = np.zeros(volume.shape, dtype=bool)
    expected[10:70, 12:18, 12:18] = True
    assert dice(mask, expected) > 0.99
    assert not details.cut_off
    assert details.targets == 1
    mask_only = [prompts for prompts in net.decoded if prompts[0] is None]
    assert mask_only  # windows without a click are asked with the mask alone
    assert all((mask > 0).any() for _, _, mask in mask_only)


def test_following_stops_at_its_bound():
    volume = box_volume((80, 30, 30), ((10, 70), (12, 18), (12, 18)))
    mask, details = ClickSegmenter(ComponentNet(), max_windows=2).segment_with_details(volume, [Click((15, 15, 15))])
    assert details.windows_decoded == 2
    assert details.cut_off
    assert mask[15, 15, 15]
    assert not mask[60:].any()


def test_a_click_in_a_followed_target_decodes_only_the_windows_around_it():
    net = ComponentNet()
    volume = box_volume((80, 16, 16), ((10, 70), (6, 10), (6, 10)), suv=1.0)
    segmenter = ClickSegmenter(net)
    first, details = segmenter.segment_with_details(volume, [Click((15, 8, 8))])
    windows = details.windows_decoded
    assert windows > 4
    second, details = segmenter.segment_with_details(volume, [Click((15, 8, 8)), Click((60, 8, 8))])
    assert np.array_equal(first, second)
    assert details.windows_encoded == 0
    assert details.windows_decoded <= 2


def test_distant_targets_are_joined_and_a_negative_click_touches_only_its_own():
    volume = box_volume((40, 40, 60), CUBE, OTHER, suv=1.0)
    segmenter = ClickSegmenter(ComponentNet(stride=1))
    clicks = [Click((10, 10, 10)), Click((33, 33, 52))]
    both, details = segmenter.segment_with_details(volume, clicks)
    assert details.targets == 2
    assert np.array_equal(both, volume.voxels > 0)
    left, details = segmenter.segment_with_details(volume, [*clicks, Click((32, 32, 51), positive=False)])
    assert details.windows_decoded == 1
    assert left[10, 10, 10]
    assert left[33, 33, 52]  # the net gave the whole box up, but this voxel was clicked
    assert not left[32, 32, 51]
    assert left[30:].sum() < 30


def test_earlier_negative_clicks_are_given_to_a_new_window():
    net = ComponentNet()
    clicks = [Click((8, 12, 12), positive=False), Click((10, 10, 10))]
    ClickSegmenter(net).segment(box_volume((32, 32, 32), CUBE), clicks)
    ((points, labels, _),) = net.decoded
    assert points.tolist() == [[[8, 12, 12], [10, 10, 10]]]
    assert labels.tolist() == [[0, 1]]


@pytest.mark.parametrize("ijk", [(-1.01, 0, 0), (0, 40.01, 0), (0, 0, 500), (float("nan"), 0, 0)])
def test_a_click_outside_is_refused_by_name(component_net, ijk):
    with pytest.raises(ValueError, match=r"prompt 1, a foreground click .* outside the volume of \[40, 40, 60\]"):
        ClickSegmenter(component_net).segment(box_volume((40, 40, 60), CUBE), [Click((10, 10, 10)), Click(ijk)])


def test_a_click_that_a_viewer_rounded_outwards_counts_as_on_the_rim():
    volume = box_volume((20, 20, 20), ((0, 4), (0, 4), (16, 20)), suv=1.0)
    segmenter = ClickSegmenter(ComponentNet(stride=1))
    mask = segmenter.segment(volume, [Click((-1, -0.4, 20))])
    assert np.array_equal(mask, volume.voxels > 0)
    assert np.array_equal(mask, segmenter.segment(volume, [Click((0, 0, 19))]))


def test_only_clicks_are_clicks(component_net):
    with pytest.raises(TypeError, match=r"prompt 0 must be a Click, .* got \(1, 2, 3\)"):
        ClickSegmenter(component_net).segment(box_volume((20, 20, 20)), [(1, 2, 3)])


@pytest.mark.parametrize("placement", ["grid", "click"])
@pytest.mark.parametrize("shape", [(1, 20, 20), (3, 40, 5), (1, 1, 1)])
def test_thin_volumes_work(placement, shape):
    volume = box_volume(shape, tuple((0, min(n, 4)) for n in shape), suv=1.0)
    mask = ClickSegmenter(ComponentNet(placement=placement, stride=1)).segment(volume, [Click((0, 0, 0))])
    assert np.array_equal(mask, volume.voxels > 0)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_volumes_work(component_net, value):
    volume = PetVolume(np.full((24, 24, 24), value, dtype=np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
    mask = ClickSegmenter(component_net).segment(volume, [Click((12, 12, 12))])
    assert mask[12, 12, 12]
    assert mask.all() == (value > 0)
    assert value > 0 or mask.sum() < 8**3


def test_a_volume_without_suv_is_segmented(component_net):
    volume = box_volume((24, 24, 24), CUBE, suv=9000.0)
    volume = PetVolume(volume.voxels, volume.affine, units="BQML")
    mask = ClickSegmenter(component_net).segment(volume, [Click((10, 10, 10))])
    assert mask[10, 10, 10]
    assert mask.sum() < 400


def test_a_window_must_halve_into_whole_cells():
    with pytest.raises(ValueError, match="window_size 18, logit_stride 4"):
        ClickSegmenter(ComponentNet(window=18, stride=4))


def test_a_click_in_a_known_window_needs_no_resampled_volume(component_net, monkeypatch):
    """Sixteen whole bodies on the working grid do not fit any cache; their clicks must not resample them again."""
    segmenter = ClickSegmenter(component_net, image_bytes=0)
    volume = box_volume((32, 32, 32), CUBE)
    _, first = segmenter.segment_with_details(volume, [Click((10, 10, 10))])
    monkeypatch.setattr(segmenter.encoder, "image", lambda volume: pytest.fail("resampled again"))
    _, next_one = segmenter.segment_with_details(volume, [Click((10, 10, 10)), Click((9, 9, 9))])
    assert first.prepare_s > 0
    assert next_one.prepare_s == 0
    assert next_one.clicks_decoded == 1
