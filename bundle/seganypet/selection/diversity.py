"""Studies unlike those labelled so far: features of a study's uptake, and the farthest first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = (0.3, 1.0, 2.5, 5.0, 10.0, 20.0)  # SUV; the first is about the body


def uptake_features(uptake: NDArray[np.floating], voxel_volume_ml: float) -> tuple[float, ...]:
    """What a study looks like from afar: log2(1 + mL above SUV t) for each t of `THRESHOLDS`.

    Twice as much of something is one apart, be it body or tumour; no scaling over studies is needed. They need no
    network: they stay when weights change.

    Args:
        uptake: SUV of any shape.
        voxel_volume_ml: of each voxel.
    """
    return tuple(float(np.log2(1 + np.count_nonzero(uptake > threshold) * voxel_volume_ml)) for threshold in THRESHOLDS)


def farthest_first(features: Sequence[Sequence[float]], centres: Sequence[Sequence[float]], count: int) -> list[int]:
    """Greedy k-centre: each time the study farthest from all centres and all chosen before it.

    Args:
        features: [n][d] of those to choose from.
        centres: [m][d] of those there are already; where there are none the first choice is the one farthest from the
            mean, the most unusual study.
        count: how many to choose.

    Returns:
        Indices into `features`, in the order of choice; of equally far ones the first.
    """
    points = np.asarray(features, float)
    if len(points) == 0:
        return []
    known = np.asarray(centres, float).reshape(-1, points.shape[1])
    if len(known) == 0:
        known = points.mean(0, keepdims=True)
    distance = np.linalg.norm(points[:, None] - known[None], axis=2).min(1)
    chosen: list[int] = []
    for _ in range(min(count, len(points))):
        distance[chosen] = -1.0
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return chosen
