"""PetVolume: what it accepts, what it refuses, and what it says of itself."""

import numpy as np
import pytest

from seganypet.pet import PetVolume, SuvProvenance, SuvUnavailableError

AFFINE = np.array([[-4.0, 0, 0, 10], [0, -3.0, 0, 20], [0, 0, 2.0, 30], [0, 0, 0, 1]])


def test_fields_by_hand():
    volume = PetVolume(np.arange(24).reshape(2, 3, 4), AFFINE)
    assert volume.units == "SUVbw"
    assert volume.voxels.dtype == np.float32
    assert volume.suv is volume.voxels
    assert volume.spacing_mm == (4.0, 3.0, 2.0)
    assert volume.voxel_volume_ml == pytest.approx(0.024)
    assert volume.shape == (2, 3, 4)
    assert volume.suv[1, 2, 3] == 23


def test_oblique_spacing_and_volume():
    angle = np.deg2rad(30)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([2.0, 3.0, 5.0])
    volume = PetVolume(np.zeros((2, 2, 2)), affine)
    assert volume.spacing_mm == pytest.approx((2.0, 3.0, 5.0))
    assert volume.voxel_volume_ml == pytest.approx(0.030)


def test_unknown_suv_keeps_the_voxels_and_gives_the_reason():
    reason = "PatientWeight (0010,1030) is missing"
    volume = PetVolume(np.ones((2, 2, 2)), AFFINE, "BQML", SuvProvenance(reason=reason))
    assert volume.voxels.sum() == 8
    with pytest.raises(SuvUnavailableError, match=r"^SUV unavailable: PatientWeight \(0010,1030\) is missing$"):
        _ = volume.suv
    with pytest.raises(SuvUnavailableError, match="CNTS"):
        _ = PetVolume(np.ones((2, 2, 2)), AFFINE, units="CNTS").suv


def test_voxels_are_read_only_and_shared():
    array = np.ones((2, 2, 2), np.float32)
    volume = PetVolume(array, AFFINE)
    assert np.shares_memory(array, volume.voxels)
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 2


def test_content_hash_follows_content_and_not_memory_layout():
    array = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    original = PetVolume(array, AFFINE).content_hash
    assert len(original) == 32
    assert PetVolume(np.asfortranarray(array), AFFINE).content_hash == original
    assert PetVolume(array, AFFINE, units="BQML").content_hash != original
    assert PetVolume(array, AFFINE * [[1], [1], [1.001], [1]]).content_hash != original
    changed = array.copy()
    changed[3, 4, 5] += 1
    assert PetVolume(changed, AFFINE).content_hash != original
    assert PetVolume(array.reshape(5, 4, 6), AFFINE).content_hash != original


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.zeros((4, 4)), "three dimensions .* got 2"),
        (np.zeros((4, 4, 4, 2)), "three dimensions .* got 4"),
        (np.zeros((0, 4, 4)), "needs voxels"),
        (np.zeros((2, 2, 2), complex), "real numbers"),
        (np.full((2, 2, 2), 1e300), "8 of 8 voxels are NaN or infinite"),
    ],
)
def test_voxels_that_are_refused(voxels, message):
    with pytest.raises(ValueError, match=message):
        PetVolume(voxels, AFFINE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_voxels_are_counted_and_located(bad):
    voxels = np.zeros((3, 4, 5))
    voxels[1, 2, 3] = voxels[2, 0, 0] = bad
    with pytest.raises(ValueError, match=r"2 of 60 voxels are NaN or infinite, the first at \(i, j, k\) = \(1, 2, 3\)"):
        PetVolume(voxels, AFFINE)


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.eye(3), "4×4"),
        (np.diag([1, 1, np.nan, 1]), "finite"),
        (np.diag([1, 1, 0, 1]), "above zero"),
        (np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "one plane"),
        (np.ones((4, 4)), "last row"),
    ],
)
def test_affines_that_are_refused(affine, message):
    with pytest.raises(ValueError, match=message):
        PetVolume(np.zeros((2, 2, 2)), affine)
