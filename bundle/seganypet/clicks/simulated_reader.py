"""What a simulated reader draws next, for evaluations: reproducible, from the answer and the truth alone.

The habits are assumed, not measured. A box stands a twentieth of its side and a voxel off the target on each face. A
lasso follows the error's outline in the plane (across the thinnest voxel axis) where that is largest, closed and a
voxel wider. A stroke runs along the error's longer extent in that plane, through its deepest voxels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from seganypet.clicks.centre import centre_click, largest_error
from seganypet.clicks.prompts import Box, Lasso, Prompt, Scribble
from seganypet.clicks.voxel_set import VoxelSet, smallest_box

READERS = ("click", "box", "lasso", "scribble")


def next_prompt(
    reader: str, made: int, prediction: NDArray[np.bool_], target: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> Prompt | None:
    """The next prompt at the largest connected error, None where nothing is wrong, or to be boxed.

    Args:
        reader: one of `READERS`. One who draws boxes draws one around the target first, and clicks then.
        made: prompts so far.
        prediction: bool [i, j, k], the answer so far.
        target: bool [i, j, k].
        spacing_mm: of the voxels.

    Raises:
        ValueError: another reader.
    """
    if reader not in READERS:
        raise ValueError(f"a reader must be one of {', '.join(READERS)}, got {reader!r}")
    spacing = (float(spacing_mm[0]), float(spacing_mm[1]), float(spacing_mm[2]))
    if reader == "click" or (reader == "box" and made):
        return centre_click(prediction, target, spacing)
    found = largest_error(prediction, target)
    if found is None:
        return None
    component, origin, positive = found
    if reader == "box":
        return _box(target)
    axis = int(np.argmax(spacing))
    planes = np.moveaxis(component, axis, 0)
    number = int(planes.reshape(len(planes), -1).sum(1).argmax())
    drawn = _outline(planes[number], target.shape, origin, axis) if reader == "lasso" else _stroke(planes[number])
    kept, shift = drawn if isinstance(drawn, tuple) else (drawn, 0)
    start = origin.copy()
    start[axis] += number
    start[[a for a in range(3) if a != axis]] -= shift
    i, j, k = (int(n) for n in start)
    voxels = VoxelSet.of(np.expand_dims(kept, axis), (i, j, k))
    return Lasso(voxels, positive) if reader == "lasso" else Scribble(voxels, positive)


def _box(target: NDArray[np.bool_]) -> Box | None:
    """A box off the target's faces; None around nothing."""
    tight = smallest_box(target)
    if tight is None:
        return None
    ranges = []
    for side, length in zip(tight, target.shape, strict=True):
        off = 1 + round(0.05 * (side.stop - side.start))
        ranges.append((max(0, side.start - off), min(length, side.stop + off)))
    return Box((ranges[0], ranges[1], ranges[2]))


def _outline(
    plane: NDArray[np.bool_], shape: Sequence[int], origin: NDArray[np.int_], axis: int
) -> tuple[NDArray[np.bool_], NDArray[np.int_]]:
    """The plane's part of the error, closed and a voxel wider, and how far it now begins before the box."""
    others = [a for a in range(3) if a != axis]
    before = np.minimum(1, origin[others])
    after = [min(1, shape[a] - int(origin[a]) - n) for a, n in zip(others, plane.shape, strict=True)]
    padded = np.pad(plane, [(int(b), int(a)) for b, a in zip(before, after, strict=True)])
    wider = ndimage.binary_dilation(ndimage.binary_closing(np.pad(padded, 2), iterations=1))[2:-2, 2:-2]
    return wider, before


def _stroke(plane: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A line through the deepest voxel of each row along the plane's longer extent, its ends left out."""
    places = np.argwhere(plane)
    along = int(np.argmax(np.ptp(places, axis=0)))
    depth = ndimage.distance_transform_edt(np.pad(plane, 1))[1:-1, 1:-1]
    rows = depth if along == 0 else depth.T
    used = np.flatnonzero(rows.any(1))
    ends = len(used) // 5
    drawn = np.zeros(rows.shape, bool)
    for row in used[ends : len(used) - ends]:
        drawn[row, int(rows[row].argmax())] = True
    return drawn if along == 0 else drawn.T
