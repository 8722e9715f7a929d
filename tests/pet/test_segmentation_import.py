"""A SEG written and read again is the same masks, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from seganypet.pet import PetVolume, read_pet, read_seg, write_pet_dicom_series, write_seg

AFFINE = np.array([[4.0, 0, 0, -20], [0, -4.0, 0, 12], [0, 0, -3.0, 30], [0, 0, 0, 1]])  # feet first
SHAPE = (7, 5, 6)


@pytest.fixture
def volume(tmp_path) -> PetVolume:
    numbers = [4, 1, 6, 2, 5, 3]
    write_pet_dicom_series(np.ones(SHAPE, np.float32), AFFINE, tmp_path / "pet", instance_numbers=numbers)
    return read_pet(tmp_path / "pet")


def test_masks_come_back_bit_equal_by_name(volume, tmp_path):
    rng = np.random.default_rng(3)
    masks = {"lesion": rng.random(SHAPE) > 0.7, "left kidney": rng.random(SHAPE) > 0.5}  # they overlap
    masks["lesion"][:, :, 2:4] = False  # slices without a frame
    back = read_seg(write_seg(masks, volume, tmp_path / "seg.dcm"), volume)
    assert list(back) == ["lesion", "left kidney"]
    for name, mask in masks.items():
        np.testing.assert_array_equal(back[name], mask)


def test_a_segment_in_one_slice_alone_leaves_the_others_empty(volume, tmp_path):
    mask = np.zeros(SHAPE, bool)
    mask[1, 2, 4] = True
    np.testing.assert_array_equal(read_seg(write_seg({"a": mask}, volume, tmp_path / "seg.dcm"), volume)["a"], mask)


def test_a_seg_of_another_series_is_refused(volume, tmp_path):
    write_pet_dicom_series(np.ones(SHAPE, np.float32), AFFINE, tmp_path / "other")
    seg = write_seg({"a": np.ones(SHAPE, bool)}, read_pet(tmp_path / "other"), tmp_path / "seg.dcm")
    with pytest.raises(ValueError, match="none of the slices"):
        read_seg(seg, volume)
    with pytest.raises(ValueError, match="not read from DICOM"):
        read_seg(seg, PetVolume(np.ones(SHAPE, np.float32), AFFINE))
    with pytest.raises(ValueError, match="is no DICOM SEG"):
        read_seg(volume.source.files[0], volume)
