"""Maximum intensity projections all around the patient, made once on the server: a browser turns them as pictures."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.store.reading_volume import ReadingVolume

ANGLES = 36  # of a full turn
STEP_MM = 4.0  # of the picture; hot spots keep their height, since voxels are pooled by their maximum
LEVELS = 2**16 - 1


@dataclass(frozen=True)
class Projections:
    """Pictures of the patient from all sides.

    Args:
        heights: uint16 [angle, row, column]: the highest value on each ray; row 0 is the head.
        depths: uint8 [angle, row, column]: where on its ray that lies, in steps from the viewer.
        scale: of a stored number: value = low + scale × stored.
        low: see `scale`.
        step_mm: distance between the pictures' rows, and between their columns, which is that of depths, too.
    """

    heights: NDArray[np.uint16]
    depths: NDArray[np.uint8]
    scale: float
    low: float
    step_mm: tuple[float, float]

    def to_bytes(self) -> bytes:
        """Little endian: uint32 angles, rows, columns; float32 scale, low, row step, column step; heights; depths."""
        header = struct.pack("<3I4f", *self.heights.shape, self.scale, self.low, *self.step_mm)
        return header + self.heights.astype("<u2").tobytes() + self.depths.tobytes()


def project(reading: ReadingVolume, angles: int = ANGLES) -> Projections:
    """Look at the patient from the front first, then from his left, and so on around.

    Column c of a picture at angle a lies at u = (c − middle) · step to the viewer's right; a ray runs along v, away
    from the viewer. At a = 0 the viewer stands in front: his right is the patient's left (−x of RAS), and v is towards
    the back (−y). The rays turn about the long axis in the middle of the grid.
    """
    pooled, affine = _pooled(reading)
    low, high = float(pooled.min()), float(pooled.max())
    scale = (high - low) / LEVELS or 1.0
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    step = float(min(spacing[:2]))
    extent = np.array(pooled.shape[:2]) * spacing[:2]
    half = min(int(extent.max() / 2 / step) + 1, 127)  # a scanner's field of view is round: corners hold nothing
    steps = (np.arange(2 * half + 1) - half) * step
    u, v = np.meshgrid(steps, steps, indexing="ij")
    flat = np.concatenate([pooled.reshape(-1, pooled.shape[2]), np.full((1, pooled.shape[2]), low, np.float32)])
    heights = np.empty((angles, pooled.shape[2], len(steps)), np.uint16)
    depths = np.empty(heights.shape, np.uint8)
    for index in range(angles):
        rays = _columns(u, v, 2 * np.pi * index / angles, spacing, pooled.shape)
        for column, ray in enumerate(rays):
            used = np.flatnonzero(ray < len(flat) - 1)
            if not used.size:
                heights[index, :, column], depths[index, :, column] = 0, 0
                continue
            values = flat[ray[used]]  # [depth, z]
            deepest = values.argmax(0)
            peak = values[deepest, np.arange(values.shape[1])]
            heights[index, ::-1, column] = np.rint((peak - low) / scale)
            depths[index, ::-1, column] = used[deepest]
    return Projections(heights, depths, scale, low, (float(spacing[2]), step))


def _columns(
    u: NDArray[np.float64], v: NDArray[np.float64], angle: float, spacing: NDArray[np.float64], shape: tuple[int, ...]
) -> Iterator[NDArray[np.intp]]:
    """For each column of a picture the flat indices (x · ny + y) its ray meets, one past the last for none."""
    x_mm = -u * np.cos(angle) + v * np.sin(angle)
    y_mm = -u * np.sin(angle) - v * np.cos(angle)
    x = np.rint(x_mm / spacing[0] + (shape[0] - 1) / 2).astype(np.intp)
    y = np.rint(y_mm / spacing[1] + (shape[1] - 1) / 2).astype(np.intp)
    inside = (x >= 0) & (y >= 0) & (x < shape[0]) & (y < shape[1])
    yield from np.where(inside, x * shape[1] + y, shape[0] * shape[1])


def _pooled(reading: ReadingVolume) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The volume [x, y, z] in cells of some 4 mm, each with its highest value, and their affine."""
    voxels = np.asarray(reading.turned(reading.volume.voxels), np.float32)
    spacing = np.linalg.norm(reading.affine[:3, :3], axis=0)
    factors = np.maximum(1, np.floor(STEP_MM / spacing + 0.01).astype(int))
    while max(np.array(voxels.shape[:2]) / factors[:2]) / 2 > 126:  # a depth has to fit into a byte
        factors[:2] += 1
    kept = [length // factor * factor or length for length, factor in zip(voxels.shape, factors, strict=True)]
    factors = np.minimum(factors, voxels.shape)
    part = voxels[: kept[0], : kept[1], : kept[2]]
    for axis, factor in enumerate(factors):
        shape = list(part.shape)
        shape[axis : axis + 1] = [shape[axis] // int(factor), int(factor)]
        part = part.reshape(shape).max(axis + 1)
    affine = reading.affine.copy()
    affine[:3, 3] = (reading.affine @ [*((factors - 1) / 2), 1])[:3]
    affine[:3, :3] = reading.affine[:3, :3] * factors
    return np.ascontiguousarray(part), affine
