"""DICOM RTSTRUCT contours as masks on a PET's grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from skimage.draw import polygon2mask

from seganypet.pet import PetReadError, PetVolume
from seganypet.pet.axes import LPS_RAS

FLAT = 0.2  # voxels that a contour may leave its plane


def referenced_series(structures: Dataset) -> str | None:
    """SeriesInstanceUID of the images that the contours were drawn on, where the file says."""
    for frame in structures.get("ReferencedFrameOfReferenceSequence", []):
        for study in frame.get("RTReferencedStudySequence", []):
            for series in study.get("RTReferencedSeriesSequence", []):
                return str(series.SeriesInstanceUID)
    return None


def rtstruct_masks(structures: Dataset, volume: PetVolume, path: Path) -> dict[str, NDArray[np.bool_]]:
    """Each ROI's mask, by its name.

    A voxel is inside where its centre lies inside an odd number of the ROI's contours in its slice, so that a contour
    within another cuts a hole. Contours are taken in the slice nearest to them; a slice between two planes of contours
    that are further apart than slices takes the nearer plane's.

    Args:
        structures: the RTSTRUCT data set.
        volume: the PET whose grid the masks get.
        path: of the file, for messages.

    Returns:
        Name → bool [i, j, k]; ROIs without closed contours are left out.

    Raises:
        PetReadError: contours that do not lie in the PET's slices, or two ROIs of one name.
    """
    names = {int(roi.ROINumber): str(roi.ROIName) for roi in structures.get("StructureSetROISequence", [])}
    to_voxels = np.linalg.inv(volume.affine) @ LPS_RAS
    masks: dict[str, NDArray[np.bool_]] = {}
    for roi in structures.get("ROIContourSequence", []):
        number = int(roi.ReferencedROINumber)
        name = names.get(number, f"ROI {number}")
        planes: dict[float, list[NDArray[np.float64]]] = {}
        for contour in roi.get("ContourSequence", []):
            if contour.ContourGeometricType != "CLOSED_PLANAR":
                continue
            points = np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3)
            ijk = points @ to_voxels[:3, :3].T + to_voxels[:3, 3]
            height = float(ijk[:, 2].mean())
            if np.abs(ijk[:, 2] - height).max() > FLAT:
                raise PetReadError(f"{path}: a contour of {name!r} does not lie in a slice of the PET")
            planes.setdefault(round(height, 2), []).append(ijk[:, :2])
        if not planes:
            continue
        if name in masks:
            raise PetReadError(f"{path} has two ROIs named {name!r}")
        masks[name] = _fill(planes, volume.shape)
    return masks


def _fill(planes: dict[float, list[NDArray[np.float64]]], shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """The mask [i, j, k] of contours (i, j) by their plane's fractional k."""
    heights = np.array(sorted(planes))
    gaps = np.diff(heights)
    reach = max(0.5, float(np.median(gaps)) / 2 if len(gaps) else 0.5)
    mask = np.zeros(shape, bool)
    for k in range(max(0, int(np.floor(heights[0]))), min(shape[2], int(np.ceil(heights[-1])) + 1)):
        nearest = heights[int(np.abs(heights - k).argmin())]
        if abs(nearest - k) <= reach + 1e-3:
            for polygon in planes[nearest]:
                mask[:, :, k] ^= polygon2mask(shape[:2], polygon)
    return mask
