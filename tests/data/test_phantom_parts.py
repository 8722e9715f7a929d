"""Fields, shapes and the scanner, against values worked by hand."""

import numpy as np
import pytest

from seganypet.data.phantoms.canvas import Canvas
from seganypet.data.phantoms.fields import smooth_field
from seganypet.data.phantoms.scanner import VOXELS_MM, Scanner, add_noise, blur
from seganypet.data.phantoms.shapes import ellipsoid, join, rotation, tube


def point(*xyz):
    return tuple(np.full((1, 1, 1), value, dtype=np.float32) for value in xyz)


def test_ellipsoid_is_minus_radius_inside_zero_on_positive_outside():
    assert ellipsoid(point(1, 2, 3), (1, 2, 3), (5, 5, 5)).item() == pytest.approx(-5)
    assert ellipsoid(point(6, 2, 3), (1, 2, 3), (5, 5, 5)).item() == pytest.approx(0, abs=1e-5)
    assert ellipsoid(point(11, 2, 3), (1, 2, 3), (5, 5, 5)).item() == pytest.approx(5)
    turned = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1.0]])  # the long radius along y
    assert ellipsoid(point(0, 9, 0), (0, 0, 0), (10, 2, 2), turned).item() < 0
    assert ellipsoid(point(9, 0, 0), (0, 0, 0), (10, 2, 2), turned).item() > 0


def test_tube_is_the_distance_to_its_line_less_its_radius():
    line = [(0, 0, 0), (10, 0, 0)]
    assert tube(point(5, 4, 0), line, 1.5).item() == pytest.approx(2.5)
    assert tube(point(13, 4, 0), line, 1.5).item() == pytest.approx(3.5)  # a 3-4-5 triangle beyond the end
    assert tube(point(5, 4, 0), line, [1, 3]).item() == pytest.approx(2)  # radius 2 half way
    with pytest.raises(ValueError, match="two points"):
        tube(point(0, 0, 0), [(0, 0, 0)], 1)


def test_join_is_the_minimum_away_from_the_crease_and_lower_in_it():
    assert join(np.array(1.0), np.array(9.0), 4) == pytest.approx(1)
    assert join(np.array(2.0), np.array(2.0), 4) == pytest.approx(1)  # 2 − 4/4


def test_rotation_is_orthogonal():
    matrix = rotation(np.random.default_rng(0), 30)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)


def test_field_has_unit_spread_and_is_smooth_over_its_correlation_length():
    field = smooth_field(np.random.default_rng(0), (120, 110, 100), (2, 2, 2), 12.0)
    assert field.dtype == np.float32
    assert field.mean() == pytest.approx(0, abs=0.1)
    assert field.std() == pytest.approx(1, abs=0.1)
    near = np.corrcoef(field[:-1].ravel(), field[1:].ravel())[0, 1]  # 2 mm apart
    far = np.corrcoef(field[:-30].ravel(), field[30:].ravel())[0, 1]  # 60 mm apart
    assert near > 0.97
    assert abs(far) < 0.1


def test_field_of_coarse_voxels_is_the_size_that_was_asked_for():
    assert smooth_field(np.random.default_rng(0), (3, 1, 7), (50, 5, 5), 4.0).shape == (3, 1, 7)


def test_canvas_region_holds_every_voxel_of_a_box():
    axis = np.arange(-60, 61, 4.0)
    canvas = Canvas(-axis, axis, axis, spacing_mm=(4, 4, 4), rng=np.random.default_rng(0), bend_mm=5)
    inside = np.ones(canvas.shape, dtype=bool)
    for coordinate, low, high in zip(canvas.xyz, (-20, 0, 10), (10, 25, 40), strict=True):
        inside &= (coordinate >= low) & (coordinate <= high)
    region = canvas.region((-20, 0, 10), (10, 25, 40))
    assert inside.sum() == inside[region].sum() > 0
    empty = canvas.region((500, 0, 0), (600, 10, 10))
    assert canvas.labels[empty].size == 0
    assert canvas.field(10.0, empty).size == 0


@pytest.mark.parametrize("fwhm_mm", [4.0, 7.0])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_a_blurred_point_falls_to_half_at_half_the_fwhm(fwhm_mm, spacing):
    activity = np.zeros((41, 41, 41), dtype=np.float32)
    activity[20, 20, 20] = 1
    seen = blur(activity, spacing, fwhm_mm)
    assert seen.sum() == pytest.approx(1, abs=1e-3)
    half = seen[20, 20, 20] / 2
    offset = round(fwhm_mm / 2 / spacing[1])
    ratio = seen[20, 20 + offset, 20] / seen[20, 20, 20]
    assert ratio == pytest.approx(2 ** -((offset * spacing[1] / (fwhm_mm / 2)) ** 2), rel=0.05)
    assert seen[20, 20 + offset + 1, 20] < half < seen[20, 20 + offset - 1, 20]


def test_a_blurred_edge_passes_half_at_the_edge_and_5_percent_at_0_7_fwhm():
    activity = np.zeros((60, 5, 5), dtype=np.float32)
    activity[30:] = 1  # the edge lies between voxels 29 and 30
    seen = blur(np.pad(activity, ((0, 0), (20, 20), (20, 20)), mode="edge"), (1, 1, 1), 6.0)[:, 22, 22]
    assert (seen[29] + seen[30]) / 2 == pytest.approx(0.5, abs=0.01)
    # Gaussian edge: Φ(−x/σ), σ = 6/2.3548 = 2.548; at 4.5 mm Φ(−1.766) = 0.0387
    assert seen[25] == pytest.approx(0.0387, abs=0.006)


def test_noise_grows_with_activity_to_the_exponent_and_is_correlated():
    rng = np.random.default_rng(0)
    scanner = Scanner(noise=0.1, noise_fwhm_mm=6, noise_exponent=0.5, reference_suv=2.0)
    for suv, spread in ((2.0, 0.2), (8.0, 0.4)):  # 10 % of 2 is 0.2; four times the activity, twice the spread
        image = add_noise(np.full((40, 40, 40), suv, dtype=np.float32), (2, 2, 2), scanner, rng)
        assert image.std() == pytest.approx(spread, rel=0.02)
        assert np.corrcoef(image[:-1].ravel(), image[1:].ravel())[0, 1] > 0.5
    assert add_noise(np.zeros((4, 4, 4), dtype=np.float32), (2, 2, 2), scanner, rng).max() == 0


def test_scanner_refuses_what_no_scanner_has():
    with pytest.raises(ValueError, match="fwhm_mm"):
        Scanner(fwhm_mm=-1)
    with pytest.raises(ValueError, match=r"noise.*0\.1 is 10 %"):
        Scanner(noise=12)


def test_shares_of_voxel_sizes_add_up():
    assert sum(share for _, share in VOXELS_MM) == pytest.approx(1)
