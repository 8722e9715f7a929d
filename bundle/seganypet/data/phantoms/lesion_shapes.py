"""Shapes of lesions: lobulated, stretched, rough, of a given volume, confined to what they may replace."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from seganypet.data.phantoms.canvas import Canvas, Region
from seganypet.data.phantoms.shapes import Vector, ellipsoid, join, rotation


def lobulated(
    canvas: Canvas, rng: np.random.Generator, region: Region, start: tuple[int, ...], radius: float, stretch: float
) -> np.ndarray:
    """Implicit values (negative inside) of a lobulated, stretched, rough blob around `start` over a region."""
    x, y, z = (
        (np.arange(part.start, part.stop, dtype=np.float32) - i) * np.float32(step)
        for part, i, step in zip(region, start, canvas.spacing_mm, strict=True)
    )
    xyz = (x[:, None, None], y[:, None], z)
    ratio = rng.uniform(1.0, stretch)
    axes = rotation(rng, 14 if stretch > 2 else 90)
    radii = radius * np.array([ratio**-0.4, ratio**-0.4, ratio**0.8]) * np.exp(rng.normal(0, 0.1, 3))
    shape = ellipsoid(xyz, (0, 0, 0), radii, axes)
    for _ in range(int(rng.integers(0, 5))):
        direction = rng.normal(size=3)
        middle = axes.T @ (direction / np.linalg.norm(direction) * radii) * rng.uniform(0.5, 0.95)
        lobe = ellipsoid(xyz, middle, radius * rng.uniform(0.3, 0.7) * np.exp(rng.normal(0, 0.15, 3)))
        shape = join(shape, lobe, 0.25 * radius)
    roughness = radius * rng.uniform(0.05, 0.18)
    return shape + np.float32(roughness) * canvas.field(max(5.0, rng.uniform(0.4, 0.8) * radius), region)


def filled_share(shape: np.ndarray, inside: np.ndarray, allowed: np.ndarray, spacing_mm: Vector) -> np.ndarray:
    """How much of each voxel a lesion fills: its surface runs through voxels, not between them.

    Args:
        shape: implicit values [i, j, k], about mm.
        inside: the voxels that are called the lesion's, bool.
        allowed: voxels that it may reach into, bool.
        spacing_mm: voxel size.

    Returns:
        [i, j, k] float32: a half and more inside, less than a half in the allowed voxels that touch it, else 0.
    """
    limit = np.float32(shape[inside].max())
    depth = (limit - shape) / np.float32(np.mean(spacing_mm))
    touched = ndimage.binary_dilation(inside) & allowed & ~inside
    share = np.where(inside, np.clip(0.5 + depth, 0.5, 1), np.where(touched, np.clip(0.5 + depth, 0, 0.5), 0))
    return share.astype(np.float32)


def take_connected(shape: np.ndarray, allowed: np.ndarray, start: tuple[int, ...], count: int) -> np.ndarray:
    """The connected set of about `count` allowed voxels around `start` whose implicit values are lowest.

    Args:
        shape: implicit values [i, j, k].
        allowed: voxels that may be taken, bool [i, j, k]; `start` is one of them.
        start: a voxel of the set.
        count: how many voxels to take.

    Returns:
        bool [i, j, k], connected through faces; smaller where the allowed voxels around `start` are too few.
    """
    values = np.where(allowed, shape, np.inf)
    values[start] = -np.inf

    def part(limit: float) -> np.ndarray:
        components, _ = ndimage.label(values <= limit)
        return components == components[start]

    order = np.sort(values[allowed])
    low, high = min(count, len(order)) - 1, len(order) - 1
    inside = part(order[high])
    while low < high:  # the lowest limit whose part around `start` has `count` voxels
        middle = (low + high) // 2
        found = part(order[middle])
        if np.count_nonzero(found) < count:
            low = middle + 1
        else:
            inside, high = found, middle
    places = np.flatnonzero(inside)
    if len(places) <= count:
        return inside
    highest = places[np.argsort(values.ravel()[places], kind="stable")[count:]]  # two parts met at the limit
    values.ravel()[highest] = np.inf
    return part(float(values[inside & (values < np.inf)].max()))
