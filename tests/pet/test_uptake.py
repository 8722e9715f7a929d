"""Uptake measures worked by hand, at the image's border, on anisotropic grids, without SUV."""

import json
import time

import numpy as np
import pytest

from seganypet.pet import PetVolume, SuvProvenance, measure_uptake

RADIUS_MM = 6.2


def volume_of(voxels, spacing_mm=(2.0, 2.0, 2.0), **options) -> PetVolume:
    return PetVolume(np.asarray(voxels, np.float32), np.diag([-spacing_mm[0], *spacing_mm[1:], 1.0]), **options)


def peak_by_loops(suv, mask, spacing_mm) -> float:
    """The definition, word by word."""
    centres = np.argwhere(mask)
    grid = np.stack(np.meshgrid(*(np.arange(length) for length in suv.shape), indexing="ij"), axis=-1)
    means = []
    for centre in centres:
        inside = (((grid - centre) * np.array(spacing_mm)) ** 2).sum(-1) <= RADIUS_MM**2
        means.append(suv[inside].astype(np.float64).mean())
    return max(means)


def test_by_hand():
    # 10 mm voxels: the sphere holds its centre alone; 1 mL a voxel
    voxels = np.zeros((4, 4, 4))
    voxels[1, 2, 3], voxels[1, 2, 2] = 8.0, 2.0
    found = measure_uptake(volume_of(voxels, (10, 10, 10)), voxels > 0)
    assert (found.voxels, found.volume_ml, found.mtv_ml) == (2, pytest.approx(2.0), pytest.approx(2.0))
    assert (found.suv_max, found.suv_mean, found.suv_min, found.suv_peak) == (8.0, 5.0, 2.0, 8.0)
    assert found.tlg == pytest.approx(10.0)
    assert found.max_ijk == (1, 2, 3)
    assert found.suv_unavailable is None
    assert "6.2 mm" in found.suv_peak_definition
    assert json.loads(json.dumps(found.to_dict()))["max_ijk"] == [1, 2, 3]


def test_peak_by_hand():
    # 6 mm voxels: the sphere holds its centre and the six neighbours: (7 + 6 · 1) / 7
    voxels = np.ones((5, 5, 5))
    voxels[2, 2, 2] = 7
    mask = np.zeros((5, 5, 5), bool)
    mask[2, 2, 2] = True
    assert measure_uptake(volume_of(voxels, (6, 6, 6)), mask).suv_peak == pytest.approx(13 / 7)
    # in a corner three neighbours lie beyond the image: (7 + 3) / 4
    voxels = np.ones((5, 5, 5))
    voxels[0, 0, 0] = 7
    mask = np.roll(mask, (-2, -2, -2), (0, 1, 2))
    assert measure_uptake(volume_of(voxels, (6, 6, 6)), mask).suv_peak == pytest.approx(10 / 4)


@pytest.mark.parametrize("spacing_mm", [(2, 2, 2), (4.07, 4.07, 3), (1.65, 2.5, 5), (3.27, 1.4, 2), (20, 4, 7)])
@pytest.mark.parametrize("corner", [(0, 0, 0), (4, 5, 3), (8, 7, 9)])
def test_peak_is_its_definition(spacing_mm, corner):
    random = np.random.default_rng(5)
    suv = random.gamma(1.0, 3.0, (13, 14, 15)).astype(np.float32)
    mask = np.zeros(suv.shape, bool)
    mask[tuple(slice(start, start + 5) for start in corner)] = random.random((5, 5, 5)) > 0.4
    found = measure_uptake(volume_of(suv, spacing_mm), mask)
    assert found.suv_peak == pytest.approx(peak_by_loops(suv, mask, spacing_mm), rel=1e-5)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_kinds_of_masks_give_the_same(order, dtype):
    suv = np.random.default_rng(0).random((9, 8, 7)).astype(np.float32)
    mask = suv > 0.7
    expected = measure_uptake(volume_of(suv), mask)
    assert measure_uptake(volume_of(suv), np.asarray(mask * 1, dtype=dtype, order=order)) == expected


def test_empty_mask_is_defined():
    found = measure_uptake(volume_of(np.ones((3, 3, 3))), np.zeros((3, 3, 3), bool))
    assert (found.voxels, found.volume_ml, found.mtv_ml, found.tlg) == (0, 0.0, 0.0, 0.0)
    assert (found.suv_max, found.suv_mean, found.suv_peak, found.max_ijk) == (None, None, None, None)


def test_without_suv_the_volume_and_the_reason_are_given():
    provenance = SuvProvenance(reason="PatientWeight (0010,1030) is missing")
    volume = volume_of(np.ones((3, 3, 3)), units="BQML", suv_provenance=provenance)
    found = measure_uptake(volume, np.ones((3, 3, 3), bool))
    assert found.volume_ml == pytest.approx(27 * 0.008)
    assert (found.suv_max, found.suv_mean, found.suv_peak, found.tlg, found.mtv_ml) == (None,) * 5
    assert found.suv_unavailable == "SUV unavailable: PatientWeight (0010,1030) is missing"
    assert measure_uptake(volume, np.zeros((3, 3, 3))).volume_ml == 0.0


def test_mask_of_another_shape():
    with pytest.raises(ValueError, match=r"shape \(3, 3, 2\), the volume \(3, 3, 3\)"):
        measure_uptake(volume_of(np.ones((3, 3, 3))), np.ones((3, 3, 2)))


def test_fast_enough_for_the_click_path():
    volume = volume_of(np.random.default_rng(0).random((200, 200, 400), np.float32))
    mask = np.zeros(volume.shape, bool)
    mask[90:130, 80:120, 150:200] = True
    measure_uptake(volume, mask)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        measure_uptake(volume, mask)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.1
