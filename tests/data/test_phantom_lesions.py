"""Lesions: volumes as asked for, one piece each, uptake as heterogeneous as in real sarcomas."""

import numpy as np
import pytest
from scipy import ndimage

from seganypet.data.phantoms import make_phantom
from seganypet.data.phantoms.anatomy import FIRST_LESION
from seganypet.data.phantoms.lesions import SITES, take_connected

FINE = (4.0, 4.0, 4.0)


@pytest.fixture(scope="module")
def phantoms():
    return [make_phantom(seed, voxel_size_mm=(5.5, 5.5, 3.3)) for seed in range(6)]


def test_volumes_are_those_that_were_asked_for():
    asked = (0.3, 1.0, 5.0, 25.0, 200.0)
    phantom = make_phantom(1, voxel_size_mm=FINE, lesion_volumes_ml=asked)
    assert [lesion.requested_ml for lesion in phantom.lesions] == list(asked)
    voxel_ml = 0.064
    for lesion in phantom.lesions:
        painted = (phantom.labels == lesion.value).sum() * voxel_ml
        assert painted == pytest.approx(lesion.volume_ml)
        assert abs(painted - lesion.requested_ml) <= max(voxel_ml, 0.03 * lesion.requested_ml)


def test_each_lesion_is_one_piece_apart_from_the_others(phantoms):
    for phantom in phantoms:
        assert phantom.lesions
        for lesion in phantom.lesions:
            mask = phantom.labels == lesion.value
            assert ndimage.label(mask)[1] == 1
            touching = ndimage.binary_dilation(mask, np.ones((3, 3, 3))) & ~mask
            assert phantom.labels[touching].max() < FIRST_LESION


def test_names_values_and_sites(phantoms):
    for phantom in phantoms:
        for number, lesion in enumerate(phantom.lesions):
            assert lesion.name == f"lesion_{number + 1}"
            assert phantom.label_names[lesion.value] == lesion.name
            assert lesion.value == FIRST_LESION + number
            assert lesion.site in {site.name for site in SITES}


def test_sizes_span_the_range_small_and_large(phantoms):
    volumes = np.array([lesion.volume_ml for phantom in phantoms for lesion in phantom.lesions])
    assert volumes.min() >= 0.3 - 0.1
    assert (volumes < 10).mean() > 0.3
    assert (volumes > 50).any()


def test_lesions_are_hotter_than_what_they_replace_when_seen():
    with_one = make_phantom(3, voxel_size_mm=FINE, lesion_volumes_ml=(8.0,))
    without = make_phantom(3, voxel_size_mm=FINE, lesion_count=0)
    mask = with_one.labels == FIRST_LESION
    assert with_one.suv[mask].mean() > 1.2 * without.suv[mask].mean()


def test_large_masses_are_as_uneven_as_real_sarcomas():
    """Twenty real, anatomically contoured sarcomas: SD over mean 0.27 to 0.92, 38 to 93 % under 41 % of the maximum."""
    spread, cold = [], []
    for seed in range(8):
        phantom = make_phantom(100 + seed, voxel_size_mm=(5.5, 5.5, 3.3), scan_range="eyes_to_thigh")
        for lesion in phantom.lesions:
            if lesion.site.endswith("sarcoma") and lesion.volume_ml > 50:
                suv = phantom.suv[phantom.labels == lesion.value]
                spread.append(suv.std() / suv.mean())
                cold.append((suv < 0.41 * suv.max()).mean())
    assert len(spread) >= 3
    assert 0.25 < np.median(spread) < 0.95
    assert 0.35 < np.median(cold) < 0.95


def test_take_connected_takes_the_lowest_voxels_around_the_start():
    line = np.array([5.0, 1, 2, 9, 0, 0])[:, None, None]
    allowed = np.ones(line.shape, dtype=bool)
    taken = take_connected(line, allowed, (1, 0, 0), 2)
    assert np.flatnonzero(taken).tolist() == [1, 2]
    assert np.flatnonzero(take_connected(line, allowed, (1, 0, 0), 3)).tolist() == [0, 1, 2]  # 5 before 9
    assert np.flatnonzero(take_connected(line, allowed, (4, 0, 0), 2)).tolist() == [4, 5]


def test_take_connected_can_take_the_start_alone():
    taken = take_connected(np.zeros((5, 1, 1)), np.ones((5, 1, 1), dtype=bool), (2, 0, 0), 1)
    assert np.flatnonzero(taken).tolist() == [2]


def test_take_connected_stops_at_what_is_not_allowed():
    line = np.zeros((6, 1, 1))
    allowed = np.array([1, 1, 1, 0, 1, 1], dtype=bool)[:, None, None]
    assert np.flatnonzero(take_connected(line, allowed, (0, 0, 0), 5)).tolist() == [0, 1, 2]
