"""Smooth random fields: deformations, organ borders, uptake texture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_MEAN_SQUARED_WEIGHT = 0.4794  # of the four cubic B-spline weights, averaged over a cell: 151/315


def smooth_field(
    rng: np.random.Generator, shape: Sequence[int], spacing_mm: Sequence[float], correlation_mm: float
) -> np.ndarray:
    """A Gaussian random field of mean 0 and standard deviation 1, smooth over `correlation_mm`.

    Normal numbers on a coarse lattice, interpolated by cubic B-splines. The three axes are separable, so that a whole
    body costs three small matrix products.

    Args:
        rng: where the numbers come from.
        shape: voxels along each of three axes.
        spacing_mm: voxel size along each axis.
        correlation_mm: distance between the lattice's nodes; features are about twice as long.

    Returns:
        float32 of `shape`.
    """
    weights = [_spline_weights(rng, n, step / correlation_mm) for n, step in zip(shape, spacing_mm, strict=True)]
    field = rng.standard_normal([w.shape[1] for w in weights], dtype=np.float32)
    field = np.matmul(field, weights[2].T)  # [a, b, K]
    field = np.matmul(weights[1], field)  # [a, J, K]
    field = (weights[0] @ field.reshape(field.shape[0], -1)).reshape(*shape)  # [I, J, K]
    return field / np.float32(_MEAN_SQUARED_WEIGHT**1.5)


def _spline_weights(rng: np.random.Generator, count: int, step: float) -> np.ndarray:
    """Cubic B-spline weights [count, nodes] of points `step` lattice cells apart, from a random start."""
    position = rng.random() + step * np.arange(count)
    cell = np.floor(position).astype(int)
    t = position - cell
    taps = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], 1) / 6
    weights = np.zeros((count, int(cell[-1]) + 4), dtype=np.float32)
    np.put_along_axis(weights, cell[:, None] + np.arange(4), taps.astype(np.float32), axis=1)
    return weights
