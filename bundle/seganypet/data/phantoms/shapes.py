"""Implicit shapes: functions of coordinates in mm, negative inside, about a distance in mm near the surface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Coordinates = tuple[np.ndarray, np.ndarray, np.ndarray]
Vector = Sequence[float] | np.ndarray
Points = Sequence[Vector] | np.ndarray


def ellipsoid(xyz: Coordinates, centre: Vector, radii: Vector, axes: np.ndarray | None = None) -> np.ndarray:
    """An ellipsoid; `axes` [3, 3] holds the unit vectors of its radii as rows."""
    x, y, z = (c - np.float32(o) for c, o in zip(xyz, centre, strict=True))
    if axes is not None:
        x, y, z = (np.float32(a) * x + np.float32(b) * y + np.float32(c) * z for a, b, c in axes)
    a, b, c = (np.float32(1 / r) for r in radii)
    squares = (x * a) ** 2 + (y * b) ** 2 + (z * c) ** 2
    return (np.sqrt(squares) - 1) * np.float32(np.prod(radii) ** (1 / 3))


def tube(xyz: Coordinates, points: Points, radii: Vector | float) -> np.ndarray:
    """A chain of cones with round ends through `points` [N, 3], of radius `radii` [N] (or one number)."""
    nodes = np.asarray(points, dtype=np.float32)
    r = np.broadcast_to(np.asarray(radii, dtype=np.float32), len(nodes))
    distance: np.ndarray | None = None
    for start, end, r0, r1 in zip(nodes[:-1], nodes[1:], r[:-1], r[1:], strict=True):
        along = end - start
        length = np.float32(max(float(along @ along), 1e-6))
        offset = [c - s for c, s in zip(xyz, start, strict=True)]
        t = np.clip(sum(o * a for o, a in zip(offset, along / length, strict=True)), 0, 1)
        d = np.sqrt(sum((o - t * a) ** 2 for o, a in zip(offset, along, strict=True))) - (r0 + t * (r1 - r0))
        distance = d if distance is None else np.minimum(distance, d)
    if distance is None:
        raise ValueError(f"a tube needs two points at least, got {len(nodes)}")
    return distance


def box_of(points: Points, margin_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner of the box around `points`, `margin_mm` wider on each side."""
    nodes = np.asarray(points, dtype=float)
    return nodes.min(0) - margin_mm, nodes.max(0) + margin_mm


def join(a: np.ndarray, b: np.ndarray, rounding_mm: float) -> np.ndarray:
    """Union of two shapes with the crease between them filled over about `rounding_mm` (polynomial smooth minimum)."""
    blend = np.maximum(rounding_mm - np.abs(a - b), 0) / rounding_mm
    return np.minimum(a, b) - blend * blend * np.float32(rounding_mm / 4)


def rotation(rng: np.random.Generator, degrees: float) -> np.ndarray:
    """A random rotation matrix [3, 3] whose angle has the standard deviation `degrees`, about a random axis."""
    axis = rng.normal(size=3)
    x, y, z = axis / np.linalg.norm(axis)
    angle = np.deg2rad(rng.normal(0, degrees))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
