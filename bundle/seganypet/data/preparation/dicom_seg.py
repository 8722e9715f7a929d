"""DICOM SEG segments as masks on the grid of the PET they were drawn on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from seganypet.pet import PetReadError, PetVolume
from seganypet.pet.axes import LPS_RAS

ON_GRID = 0.05  # voxels that a frame's pixels may lie beside the PET's


def referenced_series(segmentation: Dataset) -> str | None:
    """SeriesInstanceUID of the images that were segmented, where the file says."""
    for series in segmentation.get("ReferencedSeriesSequence", []):
        return str(series.SeriesInstanceUID)
    return None


def seg_masks(segmentation: Dataset, volume: PetVolume, path: Path) -> dict[str, NDArray[np.bool_]]:
    """Each segment's mask, by its label.

    Args:
        segmentation: the SEG data set, with pixels; a fractional one is cut at one half.
        volume: the PET whose grid the masks get.
        path: of the file, for messages.

    Returns:
        Name → bool [i, j, k].

    Raises:
        PetReadError: frames on another grid than the PET's, or two segments of one label.
    """
    names: dict[int, str] = {}
    for segment in segmentation.SegmentSequence:
        name = str(segment.SegmentLabel)
        if name in names.values():
            raise PetReadError(f"{path} has two segments labelled {name!r}")
        names[int(segment.SegmentNumber)] = name
    masks = {name: np.zeros(volume.shape, bool) for name in names.values()}
    pixels = np.atleast_3d(segmentation.pixel_array)
    if segmentation.get("NumberOfFrames", 1) == 1:
        pixels = pixels.reshape(1, segmentation.Rows, segmentation.Columns)
    if segmentation.SegmentationType == "FRACTIONAL":
        pixels = pixels > 0.5 * float(segmentation.MaximumFractionalValue)
    to_voxels = np.linalg.inv(volume.affine)
    for frame, groups in zip(pixels, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        identification = _group(segmentation, groups, "SegmentIdentificationSequence", path)
        rows, columns = np.nonzero(frame)
        places = _frame_affine(segmentation, groups, path)
        ras = places @ np.stack([columns, rows, np.zeros_like(rows), np.ones_like(rows)])
        ijk = (to_voxels @ ras)[:3]
        voxels = np.round(ijk).astype(int)
        if voxels.size and np.abs(ijk - voxels).max() > ON_GRID:
            raise PetReadError(f"{path} lies on another grid than its PET: pixels {ijk[:, 0].round(2).tolist()} and on")
        if voxels.size and ((voxels < 0).any() or (volume.shape <= voxels.T).any()):
            raise PetReadError(f"{path} reaches beyond its PET")
        masks[names[int(identification.ReferencedSegmentNumber)]][tuple(voxels)] = True
    return masks


def _frame_affine(segmentation: Dataset, groups: Dataset, path: Path) -> NDArray[np.float64]:
    """4×4, (column, row, 0) of a frame → RAS mm."""
    position = _group(segmentation, groups, "PlanePositionSequence", path).ImagePositionPatient
    orientation = _group(segmentation, groups, "PlaneOrientationSequence", path).ImageOrientationPatient
    spacing = _group(segmentation, groups, "PixelMeasuresSequence", path).PixelSpacing
    affine = np.eye(4)
    affine[:3, 0] = np.array(orientation[:3], float) * float(spacing[1])
    affine[:3, 1] = np.array(orientation[3:], float) * float(spacing[0])
    affine[:3, 3] = np.array(position, float)
    return LPS_RAS @ affine


def _group(segmentation: Dataset, groups: Dataset, keyword: str, path: Path) -> Dataset:
    """A functional group of one frame, from the frame's own or the shared ones."""
    for holder in (groups, *segmentation.get("SharedFunctionalGroupsSequence", [])):
        if keyword in holder and len(holder[keyword].value):
            return holder[keyword].value[0]
    raise PetReadError(f"{path} says nothing of {keyword}")
