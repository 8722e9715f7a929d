"""The uptake inside a real brain, laid into a phantom's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from seganypet.data.phantoms.anatomy import VALUES
from seganypet.data.phantoms.canvas import Canvas

_LEAST_MM = 90.0  # a brain shorter than this along an axis is cut there


@dataclass(frozen=True)
class _Pattern:
    """A brain's uptake over its grey matter's, on an RAS grid.

    Attributes:
        level: [i, j, k], about 1 in grey matter, 0.4 in white; beyond the brain as at its border.
        low: first voxel of the brain along each axis.
        high: last voxel.
        spacing_mm: voxel size.
    """

    level: np.ndarray
    low: np.ndarray
    high: np.ndarray
    spacing_mm: np.ndarray


def paint_brain_pattern(canvas: Canvas, path: str | Path, grey_suv: float, rng: np.random.Generator) -> None:
    """Give the phantom's brain a real one's pattern: cortex, basal ganglia, white matter, cerebellum.

    The template's box is stretched over the brain's, axis by axis. Where the scan ends within the brain, the template
    keeps its own size and is laid at the end that is whole.

    Args:
        canvas: with a brain among its labels; without one nothing happens.
        path: NIfTI of mean uptake over many brains, RAS or turned to it; voxels of 0 and less are no brain.
        grey_suv: mean SUV of grey matter.
        rng: draws how strong the pattern is.

    Raises:
        FileNotFoundError: no file at `path`.
    """
    inside = canvas.labels == VALUES["brain"]
    if not inside.any():
        return
    pattern = _pattern(str(path), Path(path).stat().st_mtime_ns)
    box = ndimage.find_objects(inside.astype(np.int8))[0]
    here = inside[box]
    strength = float(rng.uniform(0.85, 1.15))
    index = []
    for axis, (part, coordinate) in enumerate(zip(box, canvas.coordinates(box), strict=True)):
        values = coordinate[here]
        low, high = (float(v) for v in np.quantile(values, (0.002, 0.998)))
        first, last = float(pattern.low[axis]), float(pattern.high[axis])
        scale = (last - first) / max(high - low, 1.0)
        ends_inside = part.start > 0 and part.stop < canvas.shape[axis]
        if not ends_inside or high - low < _LEAST_MM:
            scale = 1 / float(pattern.spacing_mm[axis])
            rising = canvas.axes[axis][-1] > canvas.axes[axis][0]
            top_cut = part.stop >= canvas.shape[axis] if rising else part.start == 0
            first = first if top_cut or axis < 2 else last - scale * (high - low)
            if axis < 2:
                first = 0.5 * (first + last) - 0.5 * scale * (high - low)
        index.append(first + scale * (values - low))
    level = ndimage.map_coordinates(pattern.level, np.stack(index), order=1, mode="nearest")
    canvas.activity[box][here] = np.float32(grey_suv) * np.clip(level, 0.15, 1.6) ** np.float32(strength)


@lru_cache(maxsize=2)
def _pattern(path: str, _modified: int) -> _Pattern:
    image: Any = nib.as_closest_canonical(nib.load(path))
    uptake = np.nan_to_num(np.asarray(image.dataobj, dtype=np.float32))
    inside = uptake > 0.25 * np.quantile(uptake[uptake > 0], 0.95)
    parts, _ = ndimage.label(inside)
    inside = ndimage.binary_fill_holes(parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])))
    nearest = ndimage.distance_transform_edt(~ndimage.binary_erosion(inside), return_indices=True)[1]
    level = uptake[tuple(nearest)] / np.float32(np.quantile(uptake[inside], 0.8))
    places = np.argwhere(inside)
    spacing = np.linalg.norm(image.affine[:3, :3], axis=0)
    return _Pattern(level, places.min(0), places.max(0), spacing)
