import numpy as np
import torch

from seganypet.data.preprocessing import WorkingGrid
from seganypet.inference.tiles import blend, next_window, paint, taper


def test_weights_of_half_overlapping_windows_sum_to_one():
    weights = taper(8)
    assert (weights > 0).all()
    middle = weights[:, 3, 3] / weights[:, 3, 3].max() * np.sin(np.pi * 3.5 / 8) ** 2
    torch.testing.assert_close(middle[4:] + middle[:4], torch.ones(4))


def test_one_window_comes_back_as_it_is():
    logits = torch.randn(4, 4, 4)
    field = blend({(3, -1, 2): logits}, 2)
    assert field.origin == (3, -1, 2)
    assert field.logits is logits
    assert field.covered.all()


def test_two_windows_blend_where_both_answered():
    low, high = torch.full((4, 4, 4), -1.0), torch.full((4, 4, 4), 3.0)
    field = blend({(4, 0, 0): high, (0, 0, 0): low}, 2)  # cells of 2 voxels: the second begins 2 cells later
    assert field.origin == (0, 0, 0)
    assert field.logits.shape == (6, 4, 4)
    torch.testing.assert_close(field.logits[:2], torch.full((2, 4, 4), -1.0))
    torch.testing.assert_close(field.logits[4:], torch.full((2, 4, 4), 3.0))
    # sin² of 5/8 and 1/8 of a half turn at cell 2 → 0.854 low, 0.146 high
    torch.testing.assert_close(field.logits[2:4, 0, 0], torch.tensor([-0.4142, 2.4142]), atol=1e-4, rtol=0)


def test_cells_nobody_answered_are_not_covered():
    field = blend({(0, 0, 0): torch.ones(2, 2, 2), (1, 1, 0): torch.ones(2, 2, 2)}, 1)
    assert field.logits.shape == (3, 3, 2)
    assert not field.covered[2, 0].any()
    assert (field.logits[2, 0] == 0).all()


def test_a_target_is_followed_through_the_face_most_of_it_leaves_by():
    logits = torch.full((4, 4, 4), -1.0)
    logits[3, 1, 1] = 1.0  # touches high x
    logits[1, 0, 1:3] = 1.0  # touches low y twice
    tiles = {(8, 8, 8): logits}
    field = blend(tiles, 2)
    assert next_window(tiles, field, logits > 0, (40, 40, 40), 2) == (8, 4, 8)
    assert next_window(tiles, field, logits > 0, (16, 40, 40), 2) == (8, 4, 8)
    logits[1, 0, 1:3] = -1.0
    assert next_window(tiles, field, logits > 0, (40, 40, 40), 2) == (12, 8, 8)
    assert next_window(tiles, field, logits > 0, (16, 40, 40), 2) is None  # the face is the volume's


def test_a_face_with_an_answer_beyond_it_is_not_followed():
    logits = torch.full((4, 4, 4), -1.0)
    logits[3, 1, 1] = 1.0
    tiles = {(8, 8, 8): logits, (12, 8, 8): torch.full((4, 4, 4), -1.0)}
    field = blend(tiles, 2)
    assert next_window(tiles, field, field.logits > 0, (40, 40, 40), 2) is None


def test_cells_beyond_the_volume_are_no_target():
    logits = torch.full((4, 4, 4), -1.0)
    logits[3, 0, 0] = 1.0  # high x inside the volume, but y and z before its first voxel
    tiles = {(0, -2, -2): logits}
    assert next_window(tiles, blend(tiles, 2), logits > 0, (40, 40, 40), 2) is None


def test_painting_only_the_target_equals_painting_everything():
    generator = torch.Generator().manual_seed(3)
    grid = WorkingGrid((30, 26, 41), np.diag([-2.0, 3.1, 1.7, 1.0]), 2.0)
    logits = torch.nn.functional.interpolate(torch.randn(1, 1, 4, 4, 4, generator=generator), (12, 12, 12))[0, 0]
    logits[0], logits[-1], logits[:, -1] = -1.0, -1.0, -1.0
    everything, values = grid.logits_to_source(logits, (3, -2, 5), 2)
    whole = np.zeros(grid.source_shape, dtype=bool)
    whole[everything] = (values > 0).numpy()
    box, mask = paint(blend({(3, -2, 5): logits}, 2), grid, 2)
    painted = np.zeros_like(whole)
    painted[box] = mask
    assert whole.sum() > 0
    assert np.array_equal(painted, whole)


def test_nothing_to_paint():
    grid = WorkingGrid((8, 8, 8), np.eye(4), 1.0)
    logits = torch.full((4, 4, 4), -1.0)
    _, mask = paint(blend({(0, 0, 0): logits}, 1), grid, 1)
    assert mask.size == 0
