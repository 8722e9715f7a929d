"""Where the slices of a series lie: their order, and the affine of the volume they make up."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seganypet.pet.axes import LPS_RAS
from seganypet.pet.errors import PetReadError
from seganypet.pet.headers import named

logger = logging.getLogger(__name__)

# gaps may differ by a tenth of a millimetre; positions are written to hundredths, hence the slack
LARGEST_GAP_DIFFERENCE_MM = 0.1
_WRITTEN_TO_MM = 0.005


def slice_order_and_affine(
    positions_mm: ArrayLike,
    orientation: ArrayLike,
    pixel_spacing_mm: ArrayLike,
    names: Sequence[str],
    *,
    thickness_mm: float | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Order of the slices along their normal, and voxel (i, j, k) → RAS mm.

    i runs along a row, j down a column, k along the normal, row × column direction, ascending: the order in which
    ITK's series reader stacks the same files, so that a click in a viewer means the same voxel here.

    Args:
        positions_mm: [slices, 3] ImagePositionPatient, LPS.
        orientation: [6] ImageOrientationPatient: direction of a row, then of a column.
        pixel_spacing_mm: [2] PixelSpacing: between rows, then between columns.
        names: [slices] file names for messages.
        thickness_mm: SliceThickness, the extent along k of a single slice.

    Returns:
        [slices] indices that sort the slices, and the affine [4, 4].

    Raises:
        PetReadError: directions that are not at right angles, no spacing, slices that are duplicate, missing, unevenly
            spaced or not stacked along their normal; the message names the files.
    """
    positions = np.asarray(positions_mm, dtype=np.float64)
    row, column, normal = _directions(orientation)
    between_rows, between_columns = _pixel_spacing(pixel_spacing_mm)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    positions, along = positions[order], along[order]
    sorted_names = [names[index] for index in order]
    if len(order) == 1:
        if thickness_mm is None or not thickness_mm > 0:
            raise PetReadError(f"{names[0]} is a single slice without {named('SliceThickness')}")
        step = float(thickness_mm)
    else:
        _check_gaps(along, sorted_names)
        _check_stack(positions, along, normal, min(between_rows, between_columns), sorted_names)
        step = float(along[-1] - along[0]) / (len(order) - 1)
    affine = np.eye(4)
    affine[:3, 0] = row * between_columns
    affine[:3, 1] = column * between_rows
    affine[:3, 2] = normal * step
    affine[:3, 3] = positions[0]
    return order, LPS_RAS @ affine


def _directions(orientation: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    cosines = np.asarray(orientation, dtype=np.float64)
    row, column = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.allclose(lengths, 1, atol=1e-2) or abs(row @ column) > 1e-2:
        raise PetReadError(
            f"{named('ImageOrientationPatient')} {cosines.tolist()} is not two unit vectors at right angles"
        )
    row, column = row / lengths[0], column / lengths[1]
    normal = np.cross(row, column)
    return row, column, normal / np.linalg.norm(normal)


def _pixel_spacing(pixel_spacing_mm: ArrayLike) -> tuple[float, float]:
    between_rows, between_columns = (float(value) for value in np.asarray(pixel_spacing_mm, dtype=np.float64))
    if not (between_rows > 0 and between_columns > 0):
        raise PetReadError(f"{named('PixelSpacing')} is {between_rows:g}\\{between_columns:g}, it must be above zero")
    return between_rows, between_columns


def _check_gaps(along_mm: NDArray[np.float64], names: list[str]) -> None:
    gaps = np.diff(along_mm)

    def between(index: int) -> str:
        return f"{names[index]} (at {along_mm[index]:.2f} mm) and {names[index + 1]} (at {along_mm[index + 1]:.2f} mm)"

    smallest, largest = int(gaps.argmin()), int(gaps.argmax())
    if gaps[smallest] < 0.01:
        count = int((gaps < 0.01).sum())
        raise PetReadError(f"{count} duplicate slice positions, the first: {between(int((gaps < 0.01).argmax()))}")
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    if gaps[largest] > 1.5 * usual:
        missing = round(float(gaps[largest]) / usual) - 1
        raise PetReadError(f"missing slices: {missing} between {between(largest)}, usual gap {usual:.2f} mm")
    if gaps[largest] - gaps[smallest] > LARGEST_GAP_DIFFERENCE_MM + _WRITTEN_TO_MM:
        raise PetReadError(
            f"slice gaps differ by more than {LARGEST_GAP_DIFFERENCE_MM} mm: {gaps[smallest]:.3f} mm between "
            f"{between(smallest)}, {gaps[largest]:.3f} mm between {between(largest)}"
        )
    step = (along_mm[-1] - along_mm[0]) / len(gaps)
    drift = np.abs(along_mm - along_mm[0] - step * np.arange(len(along_mm)))
    worst = int(drift.argmax())
    if drift[worst] >= step / 2:
        raise PetReadError(
            f"slice gaps add up to half a slice: {names[worst]} lies {drift[worst]:.2f} mm off an even grid"
        )


def _check_stack(
    positions_mm: NDArray[np.float64],
    along_mm: NDArray[np.float64],
    normal: NDArray[np.float64],
    pixel_mm: float,
    names: list[str],
) -> None:
    beside = positions_mm - positions_mm[0] - np.outer(along_mm - along_mm[0], normal)
    offset_mm = np.linalg.norm(beside, axis=1)
    worst = int(offset_mm.argmax())
    if offset_mm[worst] > pixel_mm / 2:
        raise PetReadError(
            f"slices not stacked along their normal: {names[worst]} lies {offset_mm[worst]:.2f} mm beside {names[0]}"
        )
    if offset_mm[worst] > LARGEST_GAP_DIFFERENCE_MM + _WRITTEN_TO_MM:
        logger.warning("%s lies %.2f mm beside %s, across the stack", names[worst], offset_mm[worst], names[0])
