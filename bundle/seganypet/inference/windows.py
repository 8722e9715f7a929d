"""Where windows lie on the working grid: centred on a click, or on a grid with 50 % overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

STEPS = 2  # a window in so many steps of the grid: an overlap of 50 %, at which the weights of tiles sum to one
Origin = tuple[int, int, int]
Point = tuple[float, float, float]


def place_window(point: Point, shape: Sequence[int], size: int, placement: str) -> Origin:
    """The window that a first click is answered in.

    Args:
        point: working index of the click, fractional.
        shape: working voxels of the volume.
        size: working voxels of a window along each axis.
        placement: "click", centred on the click, or "grid", the grid window whose centre is nearest to it.

    Returns:
        Working index of the window's first voxel; negative where the window begins before the volume.
    """
    if placement == "click":
        x, y, z = (math.floor(p + 0.5) - size // 2 for p in point)
    else:
        x, y, z = (
            min(grid_starts(length, size), key=lambda start: abs(start + (size - 1) / 2 - p))
            for p, length in zip(point, shape, strict=True)
        )
    return (x, y, z)


def grid_starts(length: int, size: int) -> list[int]:
    """First voxels of the windows that cover an axis at 50 % overlap, together centred on it."""
    step = size // STEPS
    steps = max(0, math.ceil((length - size) / step))
    first = -((size + steps * step - length) // 2)
    return [first + index * step for index in range(steps + 1)]


def grid_windows(shape: Sequence[int], size: int) -> list[Origin]:
    """Every grid window of a volume."""
    return [(x, y, z) for x, y, z in product(*(grid_starts(length, size) for length in shape))]


def contains(origin: Origin, size: int, point: Point) -> bool:
    """Whether a point lies in a window, whose outer voxels reach half a voxel beyond their centres."""
    return all(start - 0.5 <= p < start + size - 0.5 for start, p in zip(origin, point, strict=True))


def cut_window(image: Tensor, origin: Origin, size: int) -> Tensor:
    """A window's voxels, zero beyond the volume.

    Args:
        image: [x, y, z].

    Returns:
        [size, size, size], a copy.
    """
    window = image.new_zeros((size, size, size))
    inside, source = [], []
    for start, length in zip(origin, image.shape, strict=True):
        low, high = max(0, -start), min(size, length - start)
        if low >= high:
            return window
        inside.append(slice(low, high))
        source.append(slice(start + low, start + high))
    window[tuple(inside)] = image[tuple(source)]
    return window


def windows_by_uptake(image: Tensor, size: int, *, floor: float) -> list[Origin]:
    """Grid windows in the order in which readers are likely to click in them: highest uptake first.

    A window is judged by its inner half, where clicks choose it; at the volume's rim by what lies beyond, too.

    Args:
        image: [x, y, z] uptake.
        floor: windows that nowhere exceed this hold no body and are left out.
    """
    quarter = size // 4
    starts = [grid_starts(length, size) for length in image.shape]
    scored = []
    for origin in grid_windows(image.shape, size):
        box = tuple(
            slice(
                0 if start == axis_starts[0] else max(0, start + quarter),
                length if start == axis_starts[-1] else min(length, start + size - quarter),
            )
            for start, axis_starts, length in zip(origin, starts, image.shape, strict=True)
        )
        scored.append((float(torch.amax(image[box])), origin))
    return [origin for uptake, origin in sorted(scored, key=lambda item: (-item[0], item[1])) if uptake > floor]
