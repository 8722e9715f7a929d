"""Peaks of uptake, on fields whose prominences are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from seganypet.selection import uptake_peaks

MM = (2.0, 2.0, 2.0)
RAW = {"smooth_mm": 0.0, "apart_mm": 0.0}


def line(*values: float) -> np.ndarray:
    """Values along the first axis, in a background of 0.5."""
    field = np.full((len(values), 3, 3), 0.5, np.float32)
    field[:, 1, 1] = values
    return field


def found(peaks) -> list[tuple[int, float, float]]:
    return [(peak.index[0], peak.uptake, peak.prominence) for peak in peaks]


def test_prominence_is_the_fall_on_the_way_to_a_higher_peak():
    # 9 falls to the floor at 1; from 6 one has to fall to 4 to reach 9; from 3, to the floor
    assert found(uptake_peaks(line(0.5, 6, 4, 9, 0.5, 3, 0.5), MM, **RAW)) == [(3, 9, 8), (1, 6, 2), (5, 3, 2)]


def test_the_lower_of_two_saddles_counts_for_the_higher_peak():
    # 5 and 7 meet at 3; together they meet 9 at 2
    assert found(uptake_peaks(line(9, 2, 5, 3, 7), MM, **RAW)) == [(0, 9, 8), (4, 7, 5), (2, 5, 2)]


def test_peaks_that_touch_at_a_corner_only_are_one():
    field = np.zeros((5, 5, 5), np.float32)
    field[1, 1, 1], field[2, 2, 2] = 5, 6
    assert [peak.index for peak in uptake_peaks(field, MM, **RAW)] == [(2, 2, 2)]


def test_a_plateau_is_one_peak():
    (peak,) = uptake_peaks(line(0, 4, 4, 4, 0), MM, **RAW)
    assert (peak.uptake, peak.prominence) == (4, 3)


@pytest.mark.parametrize("field", [np.zeros((4, 4, 4)), np.full((4, 4, 4), 1.0)])
def test_nothing_above_the_floor(field):
    assert uptake_peaks(field, MM) == []


def test_a_field_above_the_floor_up_to_its_rim_has_its_highest_voxel():
    field = np.full((3, 3, 3), 2.0, np.float32)
    field[0, 0, 0] = 5
    assert [(peak.index, peak.prominence) for peak in uptake_peaks(field, MM, **RAW)] == [((0, 0, 0), 4.0)]


def test_the_most_prominent_are_taken():
    field = line(5, 0, 3, 0, 7, 0, 4)
    assert [peak.index[0] for peak in uptake_peaks(field, MM, count=2, **RAW)] == [4, 0]


def test_distance_is_in_millimetres_not_voxels():
    field = line(5, 0, 4)
    near = {"smooth_mm": 0.0, "apart_mm": 9.0}
    assert len(uptake_peaks(field, (2.0, 1.0, 1.0), **near)) == 1  # 4 mm apart
    assert len(uptake_peaks(field, (5.0, 1.0, 1.0), **near)) == 2  # 10 mm apart


def blobs(spacing_mm: float) -> np.ndarray:
    """Three Gaussian blobs of 8 mm in a background of 0.5: SUV 10, 6 and 4."""
    side = int(120 / spacing_mm)
    grid = np.stack(np.meshgrid(*[np.arange(side) * spacing_mm] * 3, indexing="ij"), -1)
    field = np.full((side,) * 3, 0.5)
    for height, centre in ((10, (30, 30, 30)), (6, (90, 30, 60)), (4, (60, 90, 90))):
        field += height * np.exp(-0.5 * ((grid - centre) ** 2).sum(-1) / 8**2)
    return field


@pytest.mark.parametrize("spacing_mm", [3.0, 5.0])
def test_the_same_places_at_any_voxel_size_and_through_noise(spacing_mm):
    noisy = blobs(spacing_mm) + np.random.default_rng(0).normal(0, 0.2, (int(120 / spacing_mm),) * 3)
    peaks = uptake_peaks(noisy.clip(0), (spacing_mm,) * 3, count=3)
    places = np.array([peak.index for peak in peaks]) * spacing_mm
    assert np.abs(places - [(30, 30, 30), (90, 30, 60), (60, 90, 90)]).max() <= max(4.0, spacing_mm)


def flooded(field: np.ndarray, floor: float) -> list[tuple[float, float]]:
    """(uptake, prominence) of every peak by lowering a flood level by level, label by label."""
    peaks = np.flatnonzero((ndimage.maximum_filter(field, 3) == field).ravel() & (field.ravel() > floor)).tolist()
    uptake, found = field.ravel(), {}
    for level in np.unique(field[field > floor])[::-1]:
        components = ndimage.label(field >= level, np.ones((3, 3, 3)))[0].ravel()
        together: dict[int, list[int]] = {}
        for peak in peaks:
            if uptake[peak] >= level and peak not in found:
                together.setdefault(components[peak], []).append(peak)
        for group in together.values():
            highest = max(group, key=lambda peak: uptake[peak])
            found |= {peak: float(uptake[peak] - level) for peak in group if peak != highest}
    return sorted((float(uptake[peak]), found.get(peak, float(uptake[peak] - floor))) for peak in peaks)


def test_as_a_flood_that_falls_level_by_level():
    field = ndimage.gaussian_filter(np.random.default_rng(1).random((16, 15, 14)), 1.2).astype(np.float32)
    field = (field - field.mean()) / field.std() + 1
    peaks = uptake_peaks(field, MM, count=1000, **RAW)
    expected = flooded(field, 1.0)
    assert len(expected) > 20
    found = np.array(sorted((peak.uptake, peak.prominence) for peak in peaks))
    assert found == pytest.approx(np.array(expected))
