"""Real lesions out of label maps: their sizes, their shapes, and where in the chest they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from seganypet.data.phantoms.canvas import Canvas, Region
from seganypet.data.phantoms.label_map_files import read_volume
from seganypet.data.phantoms.shapes import rotation

SMALLEST_ML, LARGEST_ML = 0.2, 150.0
_MARGIN = 4  # voxels around a lesion in which its distance is kept


@dataclass(frozen=True)
class LesionMap:
    """A label map of real lesions.

    Args:
        path: NIfTI or NRRD.
        lesions: its values that are lesions; each connected component is one.
        lung: the value of both lungs, None where the map has none.
    """

    path: str
    lesions: tuple[int, ...]
    lung: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The map as JSON holds it."""
        return {"path": self.path, "lesions": list(self.lesions), "lung": self.lung}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> LesionMap:
        """The map that `to_json` was called on."""
        return cls(values["path"], tuple(values["lesions"]), values["lung"])


@dataclass(frozen=True)
class RealLesion:
    """One lesion of a real patient.

    Args:
        distance: [i, j, k] mm to its surface, negative inside, axes towards right, front and head.
        deepest: the voxel of that grid farthest inside.
        spacing_mm: voxel size.
        volume_ml: its volume.
        place: where its middle lies in the box around both lungs, 0 to 1 along each axis and beyond outside of it; None
            where the map has no lungs.
    """

    distance: np.ndarray
    deepest: tuple[int, ...]
    spacing_mm: np.ndarray
    volume_ml: float
    place: np.ndarray | None

    @property
    def reach_mm(self) -> float:
        """How far its surface lies from its deepest voxel, at most."""
        corners = np.array(self.distance.shape) - _MARGIN
        return float(np.linalg.norm(np.maximum(corners - self.deepest, self.deepest) * self.spacing_mm))

    def implicit(
        self, canvas: Canvas, region: Region, start: tuple[int, ...], scale: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Its implicit values over a region of a canvas, the deepest voxel at `start`, turned by some 10°, maybe
        mirrored left to right, `scale` times as wide."""
        turn = rotation(rng, 10) / scale
        if rng.random() < 0.5:
            turn = turn @ np.diag([-1.0, 1.0, 1.0])
        along = []
        for part, i, step, axis in zip(region, start, canvas.spacing_mm, canvas.axes, strict=True):
            sign = 1.0 if axis[-1] > axis[0] else -1.0
            along.append((np.arange(part.start, part.stop) - i) * np.float32(step * sign))
        x, y, z = np.meshgrid(*along, indexing="ij", copy=False)
        index = [
            (row[0] * x + row[1] * y + row[2] * z) / step + middle
            for row, step, middle in zip(turn, self.spacing_mm, self.deepest, strict=True)
        ]
        far = np.zeros(x.shape, dtype=np.float32)  # beyond the kept distance it goes on growing
        for position, n in zip(index, self.distance.shape, strict=True):
            far += np.maximum(0, np.abs(position - (n - 1) / 2) - (n - 1) / 2).astype(np.float32)
        return ndimage.map_coordinates(self.distance, np.stack(index), order=1, mode="nearest") * scale + far


def read_lesions(which: LesionMap) -> tuple[RealLesion, ...]:
    """The lesions of a map from 0.2 to 150 mL, largest first.

    Raises:
        FileNotFoundError: no file at its path.
    """
    if not Path(which.path).is_file():
        raise FileNotFoundError(f"no lesion map at {which.path}")
    return _lesions(which, Path(which.path).stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _lesions(which: LesionMap, _modified: int) -> tuple[RealLesion, ...]:
    values, spacing = read_volume(which.path)
    low = high = None
    if which.lung is not None and (values == which.lung).any():
        box = ndimage.find_objects((values == which.lung).astype(np.int8))[0]
        low, high = np.array([part.start for part in box]), np.array([part.stop for part in box])
    found = []
    for value in which.lesions:
        parts, _ = ndimage.label(values == value, np.ones((3, 3, 3)))
        for number, box in enumerate(ndimage.find_objects(parts), start=1):
            inside = np.pad(parts[box] == number, _MARGIN)
            volume = float(np.count_nonzero(inside) * np.prod(spacing) / 1000)
            if not SMALLEST_ML <= volume <= LARGEST_ML:
                continue
            distance = ndimage.distance_transform_edt(~inside, sampling=spacing)
            distance -= ndimage.distance_transform_edt(inside, sampling=spacing)
            deepest = tuple(int(i) for i in np.unravel_index(int(distance.argmin()), distance.shape))
            centre = np.array([part.start for part in box]) - _MARGIN + deepest
            place = None if low is None or high is None else (centre + 0.5 - low) / (high - low)
            found.append(RealLesion(distance.astype(np.float32), deepest, spacing, volume, place))
    return tuple(sorted(found, key=lambda lesion: -lesion.volume_ml))
