"""A SEG written and read again is the same masks, bit by bit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
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


def as_label_map(seg: Path, volume: PetVolume, numbers: np.ndarray) -> Path:
    """A SEG of one segment, where `numbers` [i, j, k] is above zero, as one whose pixels are those numbers."""
    data = pydicom.dcmread(seg)
    first = data.SegmentSequence[0]
    data.SegmentSequence = []
    for number, label in enumerate(("Background", "lesion", "left kidney")):
        segment = copy.deepcopy(first)
        segment.SegmentNumber, segment.SegmentLabel = number, label
        data.SegmentSequence.append(segment)
    slices = []
    for frame in data.PerFrameFunctionalGroupsSequence:
        del frame.SegmentIdentificationSequence
        x, y, z = frame.PlanePositionSequence[0].ImagePositionPatient
        slices.append(round((np.linalg.inv(volume.affine) @ (-x, -y, z, 1))[2]))
    data.SOPClassUID, data.SegmentationType = "1.2.840.10008.5.1.4.1.1.66.7", "LABELMAP"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit = 7
    data.PixelData = numbers.T[slices].astype(np.uint8).tobytes()
    data.save_as(seg)
    return seg


def test_a_label_map_seg_is_read_by_its_pixels(volume, tmp_path):
    numbers = np.random.default_rng(3).integers(0, 3, SHAPE)
    numbers[:, :, 2:4] = 0  # slices without a frame
    seg = as_label_map(write_seg({"all": numbers > 0}, volume, tmp_path / "seg.dcm"), volume, numbers)
    back = read_seg(seg, volume)
    assert list(back) == ["lesion", "left kidney"]
    np.testing.assert_array_equal(back["lesion"], numbers == 1)
    np.testing.assert_array_equal(back["left kidney"], numbers == 2)
    numbers[0, 0, 0] = 7
    with pytest.raises(ValueError, match=r"holds pixels of segment 7; there are segments \[1, 2\]"):
        read_seg(as_label_map(write_seg({"all": numbers > 0}, volume, tmp_path / "odd.dcm"), volume, numbers), volume)


def test_a_seg_of_another_series_is_refused(volume, tmp_path):
    write_pet_dicom_series(np.ones(SHAPE, np.float32), AFFINE, tmp_path / "other")
    seg = write_seg({"a": np.ones(SHAPE, bool)}, read_pet(tmp_path / "other"), tmp_path / "seg.dcm")
    with pytest.raises(ValueError, match="none of the slices"):
        read_seg(seg, volume)
    with pytest.raises(ValueError, match="not read from DICOM"):
        read_seg(seg, PetVolume(np.ones(SHAPE, np.float32), AFFINE))
    with pytest.raises(ValueError, match="is no DICOM SEG"):
        read_seg(volume.source.files[0], volume)


def drifting(folder: Path, places_mm: Callable[[int], tuple[float, float]], slices: int = 120) -> PetVolume:
    """A series whose slice k lies at (x, z) of `places_mm`, written to thousandths."""
    voxels = np.ones((6, 5, slices), np.float32)
    for k, file in enumerate(write_pet_dicom_series(voxels, np.diag([4.0, 4.0, 1.65, 1.0]), folder)):
        header = pydicom.dcmread(file)
        x, z = places_mm(k)
        header.ImagePositionPatient = [round(x, 3), 0, round(z, 3)]
        header.save_as(file)
    return read_pet(folder)


@pytest.mark.parametrize(
    "places_mm",
    [
        lambda k: (0.0, 1.65 * k + 0.1 * (k >= 20) + 0.1 * (k >= 40)),
        lambda k: (0.0, 3.27 * min(k, 60) + 3.29 * max(0, k - 60)),
        lambda k: (1.2 * (k >= 30), 1.65 * k),
    ],
    ids=["two joins", "two gaps", "a bed moved aside"],
)
def test_masks_come_back_where_the_slices_lie_beside_an_even_grid(tmp_path, places_mm):
    volume = drifting(tmp_path / "pet", places_mm)
    mask = np.random.default_rng(5).random(volume.shape) > 0.5
    np.testing.assert_array_equal(read_seg(write_seg({"a": mask}, volume, tmp_path / "seg.dcm"), volume)["a"], mask)


@pytest.mark.parametrize("axis", [0, 2])
def test_frames_between_the_slices_are_refused(volume, tmp_path, axis):
    seg = write_seg({"a": np.ones(SHAPE, bool)}, volume, tmp_path / "seg.dcm")
    data = pydicom.dcmread(seg)
    for group in data.PerFrameFunctionalGroupsSequence:
        place = [float(part) for part in group.PlanePositionSequence[0].ImagePositionPatient]
        place[axis] += 0.4 * (4.0, 4.0, 3.0)[axis]
        group.PlanePositionSequence[0].ImagePositionPatient = place
    data.save_as(seg)
    with pytest.raises(ValueError, match="another grid"):
        read_seg(seg, volume)


def test_segments_whose_made_up_names_meet_stay_apart(volume, tmp_path):
    masks = {name: np.zeros(SHAPE, bool) for name in ("a (2)", "b", "c")}
    for k, mask in enumerate(masks.values()):
        mask[k] = True
    path = write_seg(masks, volume, tmp_path / "seg.dcm")
    dataset = pydicom.dcmread(path)
    for segment, number, label in zip(dataset.SegmentSequence, (1, 3, 2), ("a (2)", "a", "a"), strict=True):
        segment.SegmentNumber, segment.SegmentLabel = number, label
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        item = frame.SegmentIdentificationSequence[0]
        item.ReferencedSegmentNumber = {1: 1, 2: 3, 3: 2}[item.ReferencedSegmentNumber]
    dataset.save_as(path)
    back = read_seg(path, volume)
    assert list(back) == ["a (2)", "a", "a (2) (2)"]
    for mask, read in zip(masks.values(), back.values(), strict=True):
        np.testing.assert_array_equal(read, mask)


@pytest.mark.parametrize(
    ("keyword", "value"), [("PixelSpacing", [8.0, 8.0]), ("SpacingBetweenSlices", 6.0), ("PixelSpacing", [4.0, 8.0])]
)
def test_coarser_pixels_whose_middles_meet_the_pet_s_are_refused(volume, tmp_path, keyword, value):
    """They would be taken for an eighth of what they cover."""
    mask = np.zeros(SHAPE, bool)
    mask[0, 0, 2] = True
    path = write_seg({"a": mask}, volume, tmp_path / "seg.dcm")
    dataset = pydicom.dcmread(path)
    setattr(dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0], keyword, value)
    dataset.save_as(path)
    with pytest.raises(ValueError, match=r"lies on another grid than its PET: its pixels are .* voxels large"):
        read_seg(path, volume)


@pytest.mark.parametrize("stale", ["0", "5", "x"])
def test_a_pet_s_own_wrong_spacing_does_not_part_it_from_its_seg(tmp_path, stale):
    for file in write_pet_dicom_series(np.ones(SHAPE, np.float32), AFFINE, tmp_path / "pet"):
        header = pydicom.dcmread(file)
        header.SpacingBetweenSlices = stale if stale != "x" else None
        header.save_as(file)
    volume = read_pet(tmp_path / "pet")
    mask = np.zeros(SHAPE, bool)
    mask[2, 3, 4] = True
    np.testing.assert_array_equal(read_seg(write_seg({"a": mask}, volume, tmp_path / "seg.dcm"), volume)["a"], mask)
