"""The windows that answer for one target: their logits blended, and where the target leaves them.

Windows of one target lie at multiples of half a window from each other, so their logits share one lattice of cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from seganypet.data.preprocessing import WorkingGrid, sample_block
from seganypet.inference.windows import STEPS, Origin

Tiles = Mapping[Origin, Tensor]  # window → its logits [L, L, L]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Blend:
    """Logits of several windows on one lattice.

    Args:
        origin: working index of the lattice's first voxel.
        logits: [X, Y, Z] blended logits, 0 where no window answered.
        covered: [X, Y, Z] bool, where a window answered.
    """

    origin: Origin
    logits: Tensor
    covered: Tensor

    def cells(self, window: Origin, shape: Sequence[int], stride: int) -> tuple[Box, Box]:
        """Where a box of cells that begins at a working voxel and this lattice meet: in the box, and in the lattice."""
        in_window, in_lattice = [], []
        for start, first, cells, length in zip(window, self.origin, shape, self.logits.shape, strict=True):
            offset = (start - first) // stride
            low, high = max(0, -offset), max(0, -offset, min(cells, length - offset))
            in_window.append(slice(low, high))
            in_lattice.append(slice(low + offset, high + offset))
        return (in_window[0], in_window[1], in_window[2]), (in_lattice[0], in_lattice[1], in_lattice[2])

    def on(self, other: Blend, stride: int) -> Tensor:
        """[X, Y, Z] these logits on another's lattice, NaN where no window answered here."""
        there, here = self.cells(other.origin, other.logits.shape, stride)
        logits = torch.full_like(other.logits, torch.nan)
        logits[there] = torch.where(self.covered[here], self.logits[here], torch.nan)
        return logits


def taper(cells: int) -> Tensor:
    """[L, L, L] weights that fall smoothly from a window's centre; those of windows at 50 % overlap sum to one."""
    axis = torch.sin(math.pi * (torch.arange(cells) + 0.5) / cells).square()
    return axis[:, None, None] * axis[None, :, None] * axis[None, None, :]


def blend(tiles: Tiles, stride: int) -> Blend:
    """Windows' logits as one field; a single window's come back as they are."""
    if len(tiles) == 1:
        ((origin, logits),) = tiles.items()
        return Blend(origin, logits, torch.ones_like(logits, dtype=torch.bool))
    origins = np.array(list(tiles))
    low, cells = origins.min(0), next(iter(tiles.values())).shape[0]
    shape = ((origins.max(0) - low) // stride + cells).tolist()
    total, weight, weights = torch.zeros(shape), torch.zeros(shape), taper(cells)
    for origin, logits in tiles.items():
        begin = [(start - int(first)) // stride for start, first in zip(origin, low, strict=True)]
        box = tuple(slice(b, b + cells) for b in begin)
        total[box] += weights * logits
        weight[box] += weights
    blended = total / weight.clamp_min(torch.finfo(weight.dtype).tiny)  # 0 stays 0
    return Blend((int(low[0]), int(low[1]), int(low[2])), blended, weight > 0)


def cells_leaving(tiles: Tiles, field: Blend, mask: Tensor, shape: Sequence[int], stride: int) -> dict[Origin, int]:
    """How many of the target's cells lie on the windows' faces, by the neighbour at 50 % overlap across the face.

    A face counts where the volume goes on beyond it and no window of the target has answered there.

    Args:
        tiles: the target's windows.
        field: their blend.
        mask: [X, Y, Z] bool on the blend's lattice.
        shape: working voxels of the volume.
    """
    leaving: dict[Origin, int] = {}
    for origin, logits in tiles.items():
        cells = logits.shape[0]
        size = cells * stride
        box = field.cells(origin, logits.shape, stride)[1]
        inside = tuple(_cells_inside(o, s, b, stride) for o, s, b in zip(field.origin, shape, box, strict=True))
        for axis, side in product(range(3), (-1, 1)):
            begin = origin[axis]
            if (side < 0 and begin <= 0) or (side > 0 and begin + size >= shape[axis]):
                continue
            face, beyond = list(inside), list(inside)
            edge = box[axis].start if side < 0 else box[axis].stop - 1
            face[axis], beyond[axis] = slice(edge, edge + 1), slice(edge + side, edge + side + 1)
            touching = mask[tuple(face)]
            if 0 <= edge + side < mask.shape[axis]:
                touching = touching & ~field.covered[tuple(beyond)]
            count = int(touching.sum())
            if count:
                moved = list(origin)
                moved[axis] += side * size // STEPS
                neighbour = (moved[0], moved[1], moved[2])
                leaving[neighbour] = leaving.get(neighbour, 0) + count
    return leaving


def next_window(tiles: Tiles, field: Blend, mask: Tensor, shape: Sequence[int], stride: int) -> Origin | None:
    """The neighbour across the face that most of the target leaves through, None where it lies inside its windows.

    Arguments as in `cells_leaving`.
    """
    leaving = cells_leaving(tiles, field, mask, shape, stride)
    return max(leaving, key=lambda origin: (leaving[origin], origin)) if leaving else None


def resampled(field: Blend, own: WorkingGrid, other: WorkingGrid, window: Origin, cells: int, stride: int) -> Blend:
    """One rung's logits at the cells of another rung's window, 0 where the one saw nothing.

    Args:
        field: the one rung's, with cells of `stride` voxels of its own grid.
        window: first voxel of the other's window.
        cells: logit cells of that window along each axis.
    """
    start, step = [], []
    for first, begin, own_length, other_length in zip(window, field.origin, own.shape, other.shape, strict=True):
        scale = other.spacing_mm / own.spacing_mm
        middle = first + (stride - 1) / 2  # of the window's first cell
        voxel = (middle - (other_length - 1) / 2) * scale + (own_length - 1) / 2
        start.append((voxel - begin - (stride - 1) / 2) / stride)
        step.append(scale)
    logits = sample_block(field.logits, start, step, cells)
    return Blend(window, logits, sample_block(torch.ones_like(field.logits), start, step, cells) > 0.5)


def paint(field: Blend, grid: WorkingGrid, stride: int) -> tuple[Box, np.ndarray]:
    """The target on the volume's own grid: logits interpolated trilinearly there, then > 0.

    Returns:
        The target's index box in the volume, as slices (i, j, k), and bool [i, j, k] in it.
    """
    mask = field.logits > 0
    box = []
    for axis in range(3):
        occupied = torch.nonzero(mask.movedim(axis, 0).flatten(1).any(1))
        if occupied.numel() == 0:
            return (slice(0, 0), slice(0, 0), slice(0, 0)), np.zeros((0, 0, 0), dtype=bool)
        # one more cell on each side holds everything that interpolates to more than 0
        box.append(slice(max(0, int(occupied[0]) - 1), min(mask.shape[axis], int(occupied[-1]) + 2)))
    cells = (box[0], box[1], box[2])
    logits = torch.where(field.covered[cells], field.logits[cells], -1.0)
    x, y, z = (first + part.start * stride for first, part in zip(field.origin, cells, strict=True))
    slices, values = grid.logits_to_source(logits, (x, y, z), stride)
    return slices, (values > 0).numpy()


def _cells_inside(origin: int, length: int, box: slice, stride: int) -> slice:
    """The part of a lattice box along one axis whose cells hold voxels of the volume."""
    first = max(box.start, (0 - origin) // stride)
    last = min(box.stop, -((origin - length) // stride))
    return slice(first, max(first, last))
