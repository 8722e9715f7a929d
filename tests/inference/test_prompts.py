import dataclasses

import numpy as np
import pytest
from fake_networks import ComponentNet, box_volume

from seganypet.clicks import Box, Click, InitialMask, Lasso, Scribble, VoxelSet
from seganypet.inference import ClickSegmenter
from seganypet.networks.settings import Rung

CUBE = ((8, 12), (8, 12), (8, 12))
NEAR = ((16, 20), (8, 12), (8, 12))
FAR = ((30, 36), (30, 36), (50, 54))
SHAPE = (40, 40, 60)


def cells(*boxes, shape=SHAPE):
    mask = np.zeros(shape, dtype=bool)
    for box in boxes:
        mask[tuple(slice(*side) for side in box)] = True
    return mask


def drawn(*boxes):
    return VoxelSet.of(cells(*boxes))


@pytest.fixture
def volume():
    return box_volume(SHAPE, CUBE, NEAR, FAR, suv=1.0)


@pytest.fixture
def segmenter():
    return ClickSegmenter(ComponentNet(stride=1))


def test_a_voxel_set_is_a_value_in_its_smallest_box():
    one = drawn(CUBE, NEAR)
    assert (one.start, one.shape) == ((8, 8, 8), (12, 4, 4))
    assert np.array_equal(one.array(), cells(CUBE, NEAR)[one.box])
    assert one == VoxelSet.of(cells(CUBE, NEAR)[5:], (5, 0, 0))
    assert len({one, drawn(CUBE, NEAR), drawn(CUBE)}) == 2


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 3, 3)), "nothing is drawn"),
        (np.full((3, 3, 3), np.nan), "finite"),
        (np.ones((3, 3)), r"\[3, 3\]"),
    ],
)
def test_a_voxel_set_refuses(array, said):
    with pytest.raises(ValueError, match=said):
        VoxelSet.of(array)


@pytest.mark.parametrize("ranges", [((0, 1), (0, 1)), ((0, 1), (0, 1), (5, 5)), ((0, 1), (0, 1), (0.5, 2))])
def test_a_box_refuses_what_is_no_box(ranges):
    with pytest.raises(ValueError, match="half-open"):
        Box(ranges)


@pytest.mark.parametrize(
    "prompt",
    [
        Scribble(drawn(((9, 11), (10, 11), (10, 11)))),
        Lasso(VoxelSet.of(cells(((7, 13), (7, 13), (10, 11))) & ~cells(((8, 12), (8, 12), (10, 11))))),
        Box(((7, 13), (7, 13), (7, 13))),
        Box(((7, 13), (7, 13), (10, 11))),
    ],
    ids=["scribble", "lasso as a contour", "box", "box of one slice"],
)
def test_a_positive_drawing_selects_what_it_marks(segmenter, volume, prompt):
    assert np.array_equal(segmenter.segment(volume, [prompt]), cells(CUBE))


def test_a_box_with_limit_keeps_the_answer_inside(segmenter, volume):
    box = ((7, 13), (7, 13), (7, 10))
    assert np.array_equal(segmenter.segment(volume, [Box(box, limit=True)]), cells(CUBE) & cells(box))
    both = segmenter.segment(volume, [Box(box, limit=True), Click((33, 33, 52))])
    assert np.array_equal(both, cells(CUBE, FAR)), "a positive click outside all limits lifts them"


def test_a_limit_is_for_what_comes_with_it_and_after(segmenter, volume):
    inside, around = ((30, 36), (30, 36), (50, 52)), ((29, 37), (29, 37), (49, 52))
    first = Click((10, 10, 10))
    for before in ([first], [Box(((7, 13), (7, 13), (7, 13)), limit=True)]):
        both = segmenter.segment(volume, [*before, Box(around, limit=True)])
        assert np.array_equal(both, cells(CUBE, inside)), "what was selected before stays"
    leaked = segmenter.segment(volume, [Click((33, 33, 50)), Box(around, limit=True)])
    assert np.array_equal(leaked, cells(inside)), "what the box is drawn to cut off goes"


def test_after_a_mask_a_click_outside_all_limits_lifts_them_too(segmenter, volume):
    mask = InitialMask(drawn(CUBE))
    limit = Box(((7, 13), (7, 13), (7, 13)), limit=True)
    assert np.array_equal(segmenter.segment(volume, [mask, limit, Click((33, 33, 52))]), cells(CUBE, FAR))
    half = Box(((16, 18), (8, 12), (8, 12)), limit=True)
    assert np.array_equal(segmenter.segment(volume, [mask, half]), cells(CUBE, half.ranges))


@pytest.mark.parametrize("kind", [Scribble, Lasso])
def test_a_negative_drawing_takes_its_voxels_away(segmenter, volume, kind):
    both = [Click((10, 10, 10)), Click((18, 10, 10))]
    wrong = ((15, 21), (7, 13), (7, 13))
    assert np.array_equal(segmenter.segment(volume, [*both, kind(drawn(wrong), positive=False)]), cells(CUBE))
    assert np.array_equal(segmenter.segment(volume, [*both, Box(wrong, positive=False)]), cells(CUBE))
    again = segmenter.segment(volume, [*both, Box(wrong, positive=False), Scribble(drawn(((18, 19),) * 1 + NEAR[1:]))])
    assert again[18, 8:12, 8:12].all(), "the later drawing wins"


def test_a_negative_drawing_on_nothing_changes_nothing(segmenter, volume):
    assert not segmenter.segment(volume, [Box(CUBE, positive=False)]).any()
    apart = [Click((10, 10, 10)), Box(FAR, positive=False)]
    assert np.array_equal(segmenter.segment(volume, apart), cells(CUBE))


def test_an_initial_mask_comes_back_as_it_is_and_takes_the_place_of_what_was_before(segmenter, volume):
    odd = ((3, 9), (3, 30), (20, 22))
    mask = InitialMask(drawn(odd))
    assert np.array_equal(segmenter.segment(volume, [Click((33, 33, 52)), mask]), cells(odd))
    assert not segmenter.encoder.net.encoded
    assert not segmenter.segment(volume, [Click((33, 33, 52)), InitialMask(None)]).any()


def test_clicks_refine_an_initial_mask_where_they_are_and_nowhere_else(segmenter, volume):
    odd = ((3, 9), (3, 30), (40, 42))  # cold: no network would answer it
    mask = InitialMask(drawn(odd, CUBE))
    added = [mask, Click((18, 10, 10))]
    assert np.array_equal(segmenter.segment(volume, added), cells(odd, CUBE, NEAR))
    taken = segmenter.segment(volume, [*added, Click((10, 10, 10), positive=False)])
    assert not taken[10, 10, 10]
    assert np.array_equal(taken & ~cells(CUBE), cells(odd, NEAR))
    assert np.array_equal(segmenter.segment(volume, added[:1]), cells(odd, CUBE)), "undo is the shorter list"


def test_a_refined_mask_and_its_prefixes_are_not_decoded_again(segmenter, volume):
    prompts = [InitialMask(drawn(CUBE)), Click((18, 10, 10)), Click((33, 33, 52))]
    whole = segmenter.segment(volume, prompts)
    decoded = len(segmenter.encoder.net.decoded)
    segmenter.segment(volume, prompts[:2])
    again = segmenter.segment(volume, prompts)
    assert len(segmenter.encoder.net.decoded) == decoded
    assert np.array_equal(whole, again)
    again[:] = False
    assert np.array_equal(segmenter.segment(volume, prompts), whole), "the answer is the caller's own"


@pytest.mark.parametrize(
    "prompt", [Box(((0, 5), (0, 5), (58, 61))), Scribble(VoxelSet((39, 0, 0), (2, 1, 1), b"\xc0"))]
)
def test_a_drawing_that_leaves_the_volume_is_refused(segmenter, volume, prompt):
    with pytest.raises(ValueError, match=r"prompt 1.*leaves the volume of \[40, 40, 60\]"):
        segmenter.segment(volume, [Click((10, 10, 10)), prompt])
    assert segmenter.segment(volume, [Click((10, 10, 10))]).any()


class SeesDrawings(ComponentNet):
    """Trained on drawings, as its settings say; remembers the mask prompts it got."""

    def __init__(self, **options):
        super().__init__(**options)
        self.settings = dataclasses.replace(self.settings, drawn_masks=True)

    def last_prompt(self):
        return self.decoded[-1][2][0, 0].numpy()


def test_a_box_reaches_a_network_that_knows_it_as_its_mask_prompt(volume):
    net = SeesDrawings(stride=1)
    segmenter = ClickSegmenter(net)
    segmenter.segment(volume, [Box(CUBE)])
    prompt = net.last_prompt()
    assert set(np.unique(prompt)) == {-3.0, 0.0}
    assert (prompt == 0).sum() == 4**3  # the box's voxels, of 2 mm as the window's
    first = len(net.decoded)
    segmenter.segment(volume, [Box(CUBE), Click((17, 9, 9))])
    assert -3.0 not in np.unique(net.decoded[first][2].numpy())  # from there on the answer before
    plain = ComponentNet(stride=1)
    ClickSegmenter(plain).segment(volume, [Box(CUBE)])
    assert not plain.decoded[-1][2].any()


def test_a_box_drawn_in_a_plane_says_nothing_of_those_above_and_below(volume):
    net = SeesDrawings(stride=1)
    mask = ClickSegmenter(net).segment(volume, [Box(((8, 12), (8, 12), (10, 11)))])
    prompt = net.last_prompt()
    assert set(np.unique(prompt)) == {-3.0, 0.0}
    assert len(np.unique(np.nonzero(prompt)[2])) == 1
    assert np.array_equal(mask, cells(CUBE))


def test_a_lasso_speaks_of_its_plane_and_the_mask_obeys_the_network(volume):
    net = SeesDrawings(stride=1)
    plane = ((8, 12), (8, 12), (10, 11))
    mask = ClickSegmenter(net).segment(volume, [Lasso(drawn(plane))])
    prompt = net.last_prompt()
    assert set(np.unique(prompt)) == {-4.0, 0.0, 4.0}
    assert (prompt == 4).sum() == 4 * 4
    assert min(len(np.unique(axis)) for axis in np.nonzero(prompt)) == 1
    assert np.array_equal(mask, cells(CUBE))


def test_a_box_larger_than_the_fine_window_begins_on_the_coarser_rung(volume):
    net = SeesDrawings(stride=1, spacing_mm=4.0, finer=(Rung(2.0, 8),))
    _, details = ClickSegmenter(net).segment_with_details(volume, [Box(((4, 24), (4, 20), (4, 20)))])
    assert details.spacing_mm == (4.0,)
    _, details = ClickSegmenter(net).segment_with_details(volume, [Box(((9, 11), (9, 11), (9, 11)))])
    assert 2.0 in details.spacing_mm or details.windows_decoded > 1


def test_what_an_answer_to_drawings_took_is_told_whole(segmenter, volume):
    prompts = [Click((10, 10, 10)), Scribble(drawn(((11, 12), (8, 12), (8, 12))), positive=False)]
    _, details = segmenter.segment_with_details(volume, prompts)
    assert (details.clicks_decoded, details.windows_encoded, details.targets) == (2, 1, 1)
    _, details = segmenter.segment_with_details(volume, prompts)
    assert (details.clicks_decoded, details.windows_decoded) == (0, 0)
    given = [InitialMask(drawn(CUBE)), Click((17, 9, 9))]
    _, details = segmenter.segment_with_details(volume, given)
    assert (details.clicks_decoded, details.targets, details.spacing_mm) == (1, 0, ())
    assert segmenter.segment_with_details(volume, given)[1].clicks_decoded == 0
