import nibabel as nib
import numpy as np
import pytest
import torch

from seganypet.data.preprocessing import WorkingGrid, linear_weights, normalise_window
from seganypet.networks.settings import NetworkSettings


def test_linear_weights_by_hand():
    weights = linear_weights(torch.tensor([0.0, 0.25, 2.0, 9.0]), 3)
    expected = [[1, 0, 0], [0.75, 0.25, 0], [0, 0, 1], [0, 0, 1]]
    torch.testing.assert_close(weights, torch.tensor(expected))


def test_a_wider_kernel_averages():
    # width 2 at position 1: distances 1, 0, 1 -> 0.5, 1, 0.5, normalised
    torch.testing.assert_close(linear_weights(torch.tensor([1.0]), 3, width=2.0), torch.tensor([[0.25, 0.5, 0.25]]))


def test_same_spacing_is_the_identity():
    source = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    grid = WorkingGrid((4, 5, 6), np.diag([3.0, 3, 3, 1]), 3.0)
    assert grid.shape == (4, 5, 6)
    np.testing.assert_allclose(grid.resample(source).numpy(), source, rtol=1e-6)
    assert grid.to_working((1, 2, 3)) == pytest.approx((1, 2, 3))


@pytest.mark.parametrize("flips", [(0,), (1,), (0, 1, 2)])
def test_a_flipped_volume_gives_the_same_working_image(flips):
    source = np.random.default_rng(0).random((7, 9, 11)).astype(np.float32)
    affine = np.diag([4.0, 4.0, 3.0, 1.0])
    affine[:3, 3] = 10, -20, 30
    flipped_affine = affine.copy()
    for axis in flips:
        flipped_affine[:3, 3] += affine[:3, axis] * (source.shape[axis] - 1)
        flipped_affine[:3, axis] *= -1
    one, two = WorkingGrid((7, 9, 11), affine, 2.5), WorkingGrid((7, 9, 11), flipped_affine, 2.5)
    torch.testing.assert_close(one.resample(source), two.resample(np.flip(source, flips)), rtol=0, atol=1e-6)
    np.testing.assert_allclose(one.affine, two.affine, atol=1e-9)


def test_permuted_axes_and_affine_agree_with_nibabel():
    source = np.random.default_rng(0).random((5, 6, 7)).astype(np.float32)
    affine = np.array([[0, 0, -3.0, 20], [3.0, 0, 0, 5], [0, 3.0, 0, -7], [0, 0, 0, 1]])
    grid = WorkingGrid(source.shape, affine, 3.0)
    canonical = nib.as_closest_canonical(nib.Nifti1Image(source, affine))
    np.testing.assert_allclose(grid.resample(source).numpy(), canonical.get_fdata(), rtol=1e-6)
    np.testing.assert_allclose(grid.affine, canonical.affine, atol=1e-9)


def test_logits_return_to_the_source_box():
    affine = np.diag([-3.0, 3.0, 3.0, 1.0])  # i runs to the left: working x is flipped
    grid = WorkingGrid((6, 4, 4), affine, 3.0)
    logits = torch.arange(4.0)[:, None, None].expand(4, 4, 4)
    box, values = grid.logits_to_source(logits, (1, -2, 0), 1)
    assert box == (slice(1, 5), slice(0, 2), slice(0, 4))
    assert values.shape == (4, 2, 4)
    assert values[:, 0, 0].tolist() == [3, 2, 1, 0]


def test_stride_four_cells_sit_at_their_centres():
    grid = WorkingGrid((8, 8, 8), np.diag([2.0, 2, 2, 1]), 2.0)
    logits = torch.tensor([0.0, 4.0])[:, None, None].expand(2, 2, 2)
    _, values = grid.logits_to_source(logits, (0, 0, 0), 4)
    # cell centres at 1.5 and 5.5; between them linear, beyond them constant
    assert values[:, 0, 0].tolist() == [0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4]


def test_a_window_off_the_volume_is_an_empty_box():
    grid = WorkingGrid((4, 4, 4), np.diag([2.0, 2, 2, 1]), 2.0)
    box, values = grid.logits_to_source(torch.zeros(4, 4, 4), (10, 0, 0), 1)
    assert values.numel() == 0
    assert box[0] == slice(0, 0)


def test_zscore_uses_voxels_above_zero_of_each_window():
    window = torch.zeros(2, 1, 1, 1, 4)
    window[0, ..., :] = torch.tensor([0.0, 1.0, 2.0, 3.0])
    window[1, ..., :] = torch.tensor([0.0, 10.0, 20.0, 30.0])
    settings = NetworkSettings("vit_b", normalisation="zscore")
    out = normalise_window(window, settings)
    torch.testing.assert_close(out[0, 0, 0, 0], torch.tensor([-2.0, -1.0, 0.0, 1.0]))
    torch.testing.assert_close(out[0], out[1])
    assert torch.isfinite(normalise_window(torch.zeros(1, 1, 2, 2, 2), settings)).all()
    assert torch.isfinite(normalise_window(torch.full((1, 1, 2, 2, 2), 7.0), settings)).all()
