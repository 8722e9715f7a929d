"""Prompts without a reader: where uptake peaks, as a reader would look for it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SIGMA_OF_FWHM = 1 / 2.355


@dataclass(frozen=True)
class Peak:
    """A local maximum of uptake.

    Args:
        index: its voxel.
        uptake: there, after smoothing.
        prominence: how far uptake has to fall on the way to any higher peak; of the highest, down to the floor.
    """

    index: tuple[int, int, int]
    uptake: float
    prominence: float


def uptake_peaks(
    uptake: NDArray[np.floating],
    spacing_mm: tuple[float, float, float],
    *,
    count: int = 8,
    floor: float = 1.0,
    apart_mm: float = 20.0,
    smooth_mm: float = 6.0,
) -> list[Peak]:
    """The most prominent peaks of uptake, the most prominent first.

    Prominence rather than height: of a hot organ's many maxima one counts, and a faint lesion far from anything hot
    counts as much as it stands out.

    Args:
        uptake: [x, y, z] SUV.
        spacing_mm: voxel spacing of the axes.
        count: how many at most.
        floor: uptake that counts as background; peaks below it are none.
        apart_mm: of peaks nearer to each other than this the more prominent one stays.
        smooth_mm: full width at half maximum of the Gaussian that takes the noise away first; 0 for none.

    Returns:
        At most `count` peaks; none where nothing exceeds the floor. Of equal ones the first in array order comes first.
    """
    smoothed = np.asarray(uptake, np.float32)
    if smooth_mm > 0:
        sigma = [smooth_mm * SIGMA_OF_FWHM / spacing for spacing in spacing_mm]
        smoothed = ndimage.gaussian_filter(smoothed, sigma)
    above = ndimage.find_objects((smoothed > floor).astype(np.uint8))
    if not above:
        return []
    field = smoothed[above[0]]
    origin = np.array([side.start for side in above[0]])
    found = []
    for voxel, prominence in _prominences(field, floor).items():
        x, y, z = (int(n) for n in np.array(np.unravel_index(voxel, field.shape)) + origin)
        found.append(Peak((x, y, z), float(field.ravel()[voxel]), prominence))
    found.sort(key=lambda peak: (-peak.prominence, -peak.uptake, peak.index))
    chosen: list[Peak] = []
    for peak in found:
        if all(_distance_mm(peak, other, spacing_mm) >= apart_mm for other in chosen):
            chosen.append(peak)
            if len(chosen) == count:
                break
    return chosen


def _prominences(field: NDArray[np.float32], floor: float) -> dict[int, float]:
    """Flat index → prominence of every maximum above the floor.

    Each voxel belongs to the maximum that steepest ascent from it reaches. Two maxima whose basins touch are joined at
    the highest voxel pair where they do; from the highest joint down, the lower of two joined ones has its prominence.
    That is exact, since ascent never falls. (skimage's max_tree gives the same, some twenty times slower in 3D.)
    """
    values = field.ravel()
    order = np.argsort(-values, kind="stable")[::-1]  # of equal voxels the first is highest, so that no two are equal
    rank = np.empty(field.size, np.int64)
    rank[order] = np.arange(field.size)
    higher = order[ndimage.maximum_filter(rank.reshape(field.shape), size=3, mode="nearest").ravel()]
    while not np.array_equal(further := higher[higher], higher):
        higher = further
    basins = higher.reshape(field.shape)
    joined_at = _joints(field, basins, floor)
    peaks = [int(peak) for peak in np.unique(higher[values > floor])]
    leader = {peak: peak for peak in peaks}

    def highest(peak: int) -> int:
        while leader[peak] != peak:
            leader[peak] = leader[leader[peak]]
            peak = leader[peak]
        return peak

    prominence = {}
    for saddle, first, second in joined_at:
        lower, upper = sorted((highest(first), highest(second)), key=lambda peak: rank[peak])
        if lower != upper:
            leader[lower] = upper
            prominence[lower] = float(values[lower] - saddle)
    for peak in peaks:
        prominence.setdefault(peak, float(values[peak] - floor))
    return {peak: value for peak, value in prominence.items() if value > 0}


def _joints(field: NDArray[np.float32], basins: NDArray[np.int64], floor: float) -> list[tuple[float, int, int]]:
    """(uptake, maximum, maximum) of the highest place above the floor where two basins touch, the highest first."""
    saddles, pairs = [], []
    for step in product((-1, 0, 1), repeat=3):
        if step <= (0, 0, 0):
            continue
        here = tuple(slice(max(0, -d), n - max(0, d)) for d, n in zip(step, field.shape, strict=True))
        there = tuple(slice(max(0, d), n - max(0, -d)) for d, n in zip(step, field.shape, strict=True))
        saddle = np.minimum(field[here], field[there])
        touching = (saddle > floor) & (basins[here] != basins[there])
        saddles.append(saddle[touching])
        pairs.append(np.sort(np.stack([basins[here][touching], basins[there][touching]]), axis=0))
    values, both = np.concatenate(saddles), np.concatenate(pairs, axis=1)
    falling = np.argsort(-values, kind="stable")
    values, both = values[falling], both[:, falling]
    _, first = np.unique(both[0] * field.size + both[1], return_index=True)
    first.sort()
    return list(zip(values[first].tolist(), both[0, first].tolist(), both[1, first].tolist(), strict=True))


def _distance_mm(a: Peak, b: Peak, spacing_mm: tuple[float, float, float]) -> float:
    return float(np.linalg.norm((np.array(a.index) - b.index) * spacing_mm))
