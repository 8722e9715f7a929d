"""What a reader has without a network: a region above a share of the local maximum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from seganypet.clicks import Click
from seganypet.evaluation.metrics import dice
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
        bool [i, j, k].
    """
    region = np.zeros(volume.shape, dtype=bool)
    spacing = np.array(volume.spacing_mm)
    for click in clicks:
        if not click.positive:
            continue
        centre = np.round(click.ijk).astype(int)
        reach = np.ceil(REACH_MM / spacing).astype(int)
        low, high = np.maximum(centre - reach, 0), np.minimum(centre + reach + 1, volume.shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        offsets = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
        near = (((offsets - centre) * spacing) ** 2).sum(-1) <= REACH_MM**2
        values = np.where(near, volume.voxels[box], -np.inf)
        hottest = np.array(np.unravel_index(int(values.argmax()), values.shape)) + low
        components, _ = ndimage.label(volume.voxels >= share * volume.voxels[tuple(hottest)])
        region |= components == components[tuple(hottest)]
    return region


def best_threshold_dice(volume: PetVolume, target: np.ndarray, thresholds: int = 100) -> float:
    """The highest Dice that any single threshold reaches with one connected region: an oracle that knows the target.

    Args:
        volume: the study.
        target: bool [i, j, k], not empty.
        thresholds: how many to try, at even quantiles of the uptake inside the target.
    """
    best = 0.0
    for level in np.unique(np.quantile(volume.voxels[target], np.linspace(0, 0.98, thresholds))):
        components, _ = ndimage.label(volume.voxels >= level)
        shared = np.bincount(components[target])
        shared[0] = 0
        if shared.any():
            best = max(best, dice(components == int(shared.argmax()), target))
    return best
