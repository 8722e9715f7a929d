import pytest
import torch

from seganypet.inference.windows import (
    contains,
    cut_window,
    grid_starts,
    grid_windows,
    place_window,
    windows_by_uptake,
)


@pytest.mark.parametrize(
    ("length", "size", "starts"),
    [
        (8, 8, [0]),
        (3, 8, [-2]),  # 5 voxels beyond the volume, 2 before it and 3 after
        (9, 8, [-1, 3]),  # 12 voxels for 9
        (20, 8, [0, 4, 8, 12]),
        (18, 8, [-1, 3, 7, 11]),
    ],
)
def test_grid_covers_an_axis_at_half_overlap(length, size, starts):
    assert grid_starts(length, size) == starts
    assert starts[0] <= 0
    assert starts[-1] + size >= length


def test_window_placement():
    assert place_window((5.4, 5.5, 0.0), (20, 20, 20), 8, "click") == (1, 2, -4)
    # centres of the grid windows along 20 voxels: 3.5, 7.5, 11.5, 15.5
    assert place_window((5.4, 5.6, 19.0), (20, 20, 20), 8, "grid") == (0, 4, 12)


def test_window_contains_what_its_voxels_cover():
    assert contains((0, 0, 0), 8, (-0.5, 0, 7.49))
    assert not contains((0, 0, 0), 8, (0, 0, 7.5))
    assert not contains((0, 0, 0), 8, (-0.51, 0, 0))


def test_cut_window_is_zero_beyond_the_volume():
    image = torch.arange(1.0, 28.0).reshape(3, 3, 3)
    window = cut_window(image, (-1, 0, 2), 4)
    assert window.shape == (4, 4, 4)
    assert torch.equal(window[1:, :3, 0], image[:, :, 2])
    assert window.sum() == image[:, :, 2].sum()
    assert cut_window(image, (5, 0, 0), 2).sum() == 0


def test_windows_by_uptake_come_hottest_first_without_air():
    image = torch.zeros(8, 8, 16)
    image[4, 4, 2] = 3.0  # nearest to the centre 3.5 of the first of three windows
    image[4, 4, 14] = 5.0
    assert grid_windows(image.shape, 8) == [(0, 0, 0), (0, 0, 4), (0, 0, 8)]
    assert windows_by_uptake(image, 8, floor=1.0) == [(0, 0, 8), (0, 0, 0)]
    assert windows_by_uptake(image, 8, floor=4.0) == [(0, 0, 8)]
