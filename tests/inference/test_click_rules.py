import numpy as np
import torch

from seganypet.inference.click_rules import FORCED, force_voxels, obey_clicks


def field(*balls, size=24, base=-4.0):
    """Logits of balls (centre, radius): their radius minus the distance to the centre, of which the highest counts."""
    grid = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), -1)
    values = [radius - np.linalg.norm(grid - centre, axis=-1) for centre, radius in balls]
    return torch.from_numpy(np.max([*values, np.full((size,) * 3, base)], 0)).float()


def test_an_answer_that_obeys_stays_as_it_is():
    logits = field(((8, 8, 8), 4.0))
    obeyed = obey_clicks(logits, [((8, 8, 8), True), ((20, 20, 20), False)], 1.5)
    assert torch.equal(obeyed > 0, logits > 0)
    assert torch.equal(obeyed[logits > 0], logits[logits > 0])


def test_what_holds_no_positive_click_goes():
    logits = field(((6, 6, 6), 3.0), ((18, 18, 18), 5.0))
    obeyed = obey_clicks(logits, [((6, 6, 6), True)], 1.5)
    assert torch.equal(obeyed > 0, field(((6, 6, 6), 3.0)) > 0)
    assert not (obey_clicks(logits, [], 1.5) > 0).any()


def test_a_part_that_touches_by_a_corner_stays():
    logits = torch.full((6, 6, 6), -1.0)
    logits[1, 1, 1] = logits[2, 2, 2] = logits[5, 5, 5] = 1.0
    obeyed = obey_clicks(logits, [((1, 1, 1), True)], 1.5) > 0
    assert obeyed.nonzero().tolist() == [[1, 1, 1], [2, 2, 2]]


def test_a_negative_click_parts_two_nodes_at_their_saddle():
    logits = field(((8, 12, 12), 4.0), ((15, 12, 12), 4.0))  # they meet at 11.5
    obeyed = obey_clicks(logits, [((8, 12, 12), True), ((15, 12, 12), False)], 1.5) > 0
    assert obeyed[8, 12, 12]
    assert not obeyed[13:].any()
    assert obeyed[:11].sum() == (field(((8, 12, 12), 4.0)) > 0)[:11].sum()


def test_a_negative_click_at_the_rim_takes_little():
    logits = field(((12, 12, 12), 7.0))
    obeyed = obey_clicks(logits, [((12, 12, 12), True), ((12, 12, 18), False)], 1.5) > 0
    assert not obeyed[12, 12, 18]
    assert obeyed.sum() > 0.9 * (logits > 0).sum()


def test_a_denied_positive_click_brings_its_neighbourhood_and_no_more():
    obeyed = obey_clicks(field(base=-1.0), [((12, 12, 12), True)], 2.0) > 0  # 4 mm are 2 cells: a ball of 33
    assert obeyed[12, 12, 12]
    assert int(obeyed.sum()) == 33
    alone = obey_clicks(field(base=-1.0), [((12, 12, 12), True)], 6.0) > 0  # and less than one cell
    assert alone.nonzero().tolist() == [[12, 12, 12]]


def test_of_two_clicks_in_one_cell_the_later_wins():
    logits = field(((12, 12, 12), 5.0))
    assert obey_clicks(logits, [((12, 12, 12), False), ((12, 12, 12), True)], 1.5)[12, 12, 12] > 0
    assert not (obey_clicks(logits, [((12, 12, 12), True), ((12, 12, 12), False)], 1.5) > 0).any()


def test_from_the_third_click_on_only_what_is_connected_with_the_newest_click_changes():
    middle, clicked, elsewhere = ((12, 12, 12), 5.0), ((12, 12, 18), 4.0), ((12, 12, 6), 4.0)
    before, after = field(middle), field(middle, clicked, elsewhere)  # grows to both sides
    clicks = [((12, 12, 12), True), ((2, 2, 2), False), ((12, 12, 20), True)]
    shown = obey_clicks(after, clicks, 1.5, before) > 0
    assert torch.equal(shown, field(middle, clicked) > 0)
    assert torch.equal(obey_clicks(after, clicks[1:] + clicks[:1], 1.5, before) > 0, before > 0)  # nobody asked for it
    assert torch.equal(obey_clicks(after, clicks[::2], 1.5, before) > 0, after > 0)  # the second click still may
    assert torch.equal(obey_clicks(after, clicks, 1.5, torch.full_like(before, torch.nan)) > 0, after > 0)


def test_from_the_third_click_on_a_positive_click_adds_and_a_negative_one_takes_away():
    row = ((6, 12, 12), 4.0), ((12, 12, 12), 4.0), ((18, 12, 12), 4.0)
    left, right = field(*row[:2]), field(*row[1:])  # each lacks what the other has
    earlier = [((12, 12, 12), True), ((2, 2, 2), False)]
    assert torch.equal(obey_clicks(right, [*earlier, ((18, 12, 12), True)], 1.5, left) > 0, field(*row) > 0)
    taken = obey_clicks(right, [*earlier, ((5, 12, 12), False)], 1.5, left) > 0
    assert torch.equal(taken, (left > 0) & (right > 0))


def test_from_the_third_click_on_a_click_changes_nothing_that_is_nearer_to_one_of_the_other_sign():
    before, after = field(((12, 12, 12), 8.0)), field(((6, 12, 12), 2.0))
    clicks = [((6, 12, 12), True), ((2, 2, 2), False), ((18, 12, 12), False)]
    shown = obey_clicks(after, clicks, 1.5, before) > 0
    assert torch.equal(shown[:12], (before > 0)[:12])  # 12 is half way between the two clicks
    assert not shown[12:].any()


def test_what_a_change_cuts_off_goes_though_it_stood_before():
    row = ((4, 12, 12), 3.0), ((9, 12, 12), 3.0), ((14, 12, 12), 3.0)
    before, after = field(*row), field(row[0], row[2])
    clicks = [((4, 12, 12), True), ((1, 1, 1), False), ((9, 12, 12), False)]
    shown = obey_clicks(after, clicks, 1.5, before) > 0
    assert not shown[9:].any()
    assert torch.equal(shown[:6], (before > 0)[:6])


def test_clicks_outside_the_field_are_passed_over_and_the_input_is_kept():
    logits = field(((4, 4, 4), 3.0))
    before = logits.clone()
    obeyed = obey_clicks(logits, [((4, 4, 4), True), ((-1, 3, 3), True), ((3, 3, 99), False), ((4, 4, 5), False)], 1.5)
    assert torch.equal(logits, before)
    assert obeyed[4, 4, 5] <= -FORCED


def test_clicked_voxels_are_forced_in_order():
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[1, 1, 1] = True
    force_voxels(mask, [((1, 1, 1), False), ((0, 0, 0), True), ((2, 2, 2), False), ((2, 2, 2), True)])
    assert np.argwhere(mask).tolist() == [[0, 0, 0], [2, 2, 2]]
