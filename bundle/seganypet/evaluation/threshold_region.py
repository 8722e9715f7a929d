"""What a reader has without a network: a region above a share of the local maximum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from seganypet.clicks import Click
from seganypet.clicks.voxel_set import reaches_inner_face
from seganypet.pet import PetVolume

SHARE_OF_MAXIMUM = 0.41
REACH_MM = 20.0


def threshold_region(volume: PetVolume, clicks: Sequence[Click], share: float = SHARE_OF_MAXIMUM) -> np.ndarray:
    """Voxels of at least a share of the maximum within 2 cm of a click, connected to that click's maximum.

    Several positive clicks give the union of their regions; a negative click takes away nothing, since a threshold has
    no answer to it.

    Args:
        volume: the study.
        clicks: at voxels of `volume`.
        share: of the maximum.

    Returns:
        bool [i, j, k]; nothing of a click in air, where no uptake lies within 2 cm.
    """
    region = np.zeros(volume.shape, dtype=bool)
    for click in clicks:
        if click.positive:
            hottest = hottest_near(volume, click)
            highest = volume.voxels[tuple(hottest)]
            if highest > 0:  # a share of nothing is reached everywhere
                box, part = connected_above(volume.voxels, share * highest, hottest, np.array(volume.spacing_mm))
                region[box] |= part
    return region


def fixed_region(volume: PetVolume, click: Click, suv: float) -> np.ndarray:
    """Voxels at or above an SUV, connected to the maximum within 2 cm of a click; empty where that lies below.

    Raises:
        SuvUnavailableError: the volume has no SUV.
    """
    region = np.zeros(volume.shape, dtype=bool)
    voxels, hottest = volume.suv, hottest_near(volume, click)
    if voxels[tuple(hottest)] >= suv:
        box, part = connected_above(voxels, suv, hottest, np.array(volume.spacing_mm))
        region[box] = part
    return region


def hottest_near(volume: PetVolume, click: Click) -> np.ndarray:
    """[3] voxel indices of the maximum within 2 cm of a click."""
    spacing = np.array(volume.spacing_mm)
    centre = np.array(click.voxel)
    reach = np.ceil(REACH_MM / spacing).astype(int)
    low, high = np.maximum(centre - reach, 0), np.minimum(centre + reach + 1, volume.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    offsets = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    near = (((offsets - centre) * spacing) ** 2).sum(-1) <= REACH_MM**2
    values = np.where(near, volume.voxels[box], -np.inf)
    return np.array(np.unravel_index(int(values.argmax()), values.shape)) + low


def connected_above(
    voxels: np.ndarray, level: float, seed: np.ndarray, spacing_mm: np.ndarray
) -> tuple[tuple[slice, ...], np.ndarray]:
    """What is connected to a voxel at or above a level: a box of the volume, and bool in it; empty where it lies below.

    Looked for in a box around the voxel that grows while the region reaches its faces: a whole body takes a hundred
    times longer.
    """
    for reach_mm in (60.0, 150.0, 400.0, np.inf):
        box = tuple(
            slice(max(0, int(at - min(reach_mm / mm, n))), min(n, int(at + min(reach_mm / mm, n)) + 1))
            for at, mm, n in zip(seed, spacing_mm, voxels.shape, strict=True)
        )
        components, _ = ndimage.label(voxels[box] >= level)
        own = components[tuple(at - side.start for at, side in zip(seed, box, strict=True))]
        part = (components == own) & (own > 0)
        if not reaches_inner_face(part, box, voxels.shape):
            break
    return box, part


def best_threshold_dice(volume: PetVolume, target: np.ndarray, thresholds: int = 100) -> float:
    """The highest Dice that any single threshold reaches with one connected region: an oracle that knows the target.

    Args:
        volume: the study.
        target: bool [i, j, k], not empty.
        thresholds: how many to try, at even quantiles of the uptake inside the target.
    """
    best, spacing = 0.0, np.array(volume.spacing_mm)
    inside, size = np.argwhere(target), int(target.sum())
    uptake = volume.voxels[target]
    for level in np.unique(np.quantile(uptake, np.linspace(0, 0.98, thresholds))):
        above = uptake >= level
        if 2 * above.sum() / (size + above.sum()) <= best:
            continue  # even without a false voxel
        tried = np.zeros(len(inside), dtype=bool)
        while (above & ~tried).any():
            seed = inside[np.flatnonzero(above & ~tried)[uptake[above & ~tried].argmax()]]
            box, part = connected_above(volume.voxels, level, seed, spacing)
            low = np.array([side.start for side in box])
            local = inside - low
            held = ((local >= 0) & (local < part.shape)).all(1)
            hits = np.zeros(len(inside), dtype=bool)
            hits[held] = part[tuple(local[held].T)]
            tried |= hits
            best = max(best, 2 * int(hits.sum()) / (int(part.sum()) + size))
    return best
