"""DICOM RTSTRUCT contours as masks on a PET's grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.spatial.distance import cdist
from skimage.draw import polygon2mask

from seganypet.pet import PetVolume
from seganypet.pet.axes import LPS_RAS
from seganypet.pet.headers import header_text

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")  # the second says in words how the first is filled here, too
FLAT = 0.2  # voxels that a contour may leave its plane
SAME_PLANE = 0.06  # slices that two contours of one plane may lie apart, by rounding
SAME_POINT = 1e-3  # voxels
FARTHEST_CONTOURS_MM = 10.0  # nobody draws one lesion's contours further apart
Planes = dict[float, list[NDArray[np.float64]]]


def rtstruct_masks(
    structures: Dataset, volume: PetVolume, path: Path
) -> tuple[dict[str, NDArray[np.bool_]], list[str]]:
    """Each ROI's mask, by its name, and what is wrong with the others.

    A voxel is inside where its centre lies inside an odd number of the ROI's contours in its slice, so that a contour
    within another cuts a hole. Contours are taken in the slice nearest to them. Between two planes of contours the
    slices are filled only where the planes are as far apart as this file's contours are drawn: two lesions of one ROI
    in far slices stay two. A lesion ends half that distance beyond its last contour.

    Args:
        structures: the RTSTRUCT data set.
        volume: the PET whose grid the masks get.
        path: of the file, for messages.

    Returns:
        Name → bool [i, j, k], of the ROIs with closed contours; and a line for every ROI, or contour of one, that was
        left out for another reason than that it has none.
    """
    names = {
        text: header_text(roi, "ROIName") or f"ROI {text}"
        for roi in structures.get("StructureSetROISequence") or []
        if (text := header_text(roi, "ROINumber")) is not None
    }
    to_voxels = np.linalg.inv(volume.affine) @ LPS_RAS
    problems: list[str] = []
    drawn: dict[str, Planes] = {}
    for roi in structures.get("ROIContourSequence") or []:
        number = header_text(roi, "ReferencedROINumber")
        name = names.get(number or "", f"ROI {number}")
        planes: Planes = {}
        for contour in roi.get("ContourSequence") or []:
            problem = _add_contour(contour, to_voxels, planes)
            if problem is not None:
                problems.append(f"{path}: a contour of {name!r} {problem}")
        if not planes:
            continue
        planes, repeated = joined(planes)
        if repeated:
            problems.append(f"{path}: {repeated} contours of {name!r} are there more than once, and were taken once")
        while name in drawn:
            name = f"{name} ({number})"
        drawn[name] = planes
    spacing = contour_spacing(drawn.values(), FARTHEST_CONTOURS_MM / volume.spacing_mm[2])
    return {name: _fill(planes, volume.shape, spacing) for name, planes in drawn.items()}, problems


def _add_contour(contour: Dataset, to_voxels: NDArray[np.float64], planes: Planes) -> str | None:
    """Take a closed contour into its plane; what is wrong with it, None where nothing is."""
    kind = header_text(contour, "ContourGeometricType")
    if kind is not None and kind.upper() not in CLOSED:
        return None  # points and lines mark no volume
    text = header_text(contour, "ContourData")
    if text is None:
        return "has no ContourData (3006,0050)"
    try:
        points = np.array([float(part) for part in text.split("\\")]).reshape(-1, 3)
    except ValueError:
        return "has ContourData (3006,0050) that is no list of points"
    if len(points) < 3:
        return f"has {len(points)} points, which enclose nothing"
    ijk = points @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    height = float(ijk[:, 2].mean())
    if np.abs(ijk[:, 2] - height).max() > FLAT:
        return "does not lie in a slice of the PET"
    planes.setdefault(height, []).append(ijk[:, :2])
    return None


def joined(planes: Planes) -> tuple[Planes, int]:
    """Planes a hair apart as one, each contour in it once; and how many contours were repeated.

    A second part of an ROI that lies a hair off would be passed over, and a contour within itself would cut all of it.
    """
    found: Planes = {}
    repeated, height = 0, -np.inf
    for at in sorted(planes):
        if at - height > SAME_PLANE:
            height = at
        kept = found.setdefault(height, [])
        for contour in planes[at]:
            if any(_same(contour, other) for other in kept):
                repeated += 1
            else:
                kept.append(contour)
    return found, repeated


def _same(contour: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two contours have the same corners, wherever they begin, whichever way they run, closed or not."""
    if max(np.abs(end(contour, axis=0) - end(other, axis=0)).max() for end in (np.min, np.max)) >= SAME_POINT:
        return False
    apart = cdist(contour, other)
    return bool(max(apart.min(axis=0).max(), apart.min(axis=1).max()) < SAME_POINT)


def contour_spacing(drawn: Iterable[Planes], farthest: float) -> float:
    """How many slices apart the contours of a file are drawn: the gap that occurs most often, of those the smallest.

    Args:
        drawn: planes of each ROI.
        farthest: slices; larger gaps lie between lesions.

    Returns:
        1 where there is no gap, or none that is not between lesions: contours are drawn slice by slice.
    """
    gaps = Counter(
        round(float(gap), 1) for planes in drawn for gap in np.diff(np.array(sorted(planes))) if gap <= farthest + 1e-3
    )
    return max(gaps, key=lambda gap: (gaps[gap], -gap)) if gaps else 1.0


def _fill(planes: Planes, shape: tuple[int, int, int], spacing: float) -> NDArray[np.bool_]:
    """The mask [i, j, k] of contours (i, j) by their plane's fractional k."""
    heights = np.array(sorted(planes))
    reach = max(0.5, spacing / 2)
    nearest_to_a_contour = set(np.ceil(heights - 0.5 - 1e-3))  # of two as near the lower, not both
    mask = np.zeros(shape, bool)
    for k in range(shape[2]):
        apart = np.abs(heights - k)
        nearest = int(apart.argmin())
        other = nearest + (1 if heights[nearest] < k else -1)
        between = 0 <= other < len(heights) and (heights[nearest] - k) * (heights[other] - k) < 0
        explained = between and abs(heights[other] - heights[nearest]) <= 1.5 * max(1.0, spacing)
        if k in nearest_to_a_contour or explained or apart[nearest] < reach - 1e-3:
            for polygon in planes[float(heights[nearest])]:
                mask[:, :, k] ^= polygon2mask(shape[:2], polygon)
    return mask
