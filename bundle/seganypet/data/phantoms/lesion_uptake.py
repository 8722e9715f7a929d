"""Uptake inside a lesion: hot parts, necrosis, rims, and contours that reach beyond the uptake."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from seganypet.data.phantoms.anatomy import VALUES
from seganypet.data.phantoms.canvas import Canvas, Region

SUV_RANGE = (2.0, 40.0)


def paint_uptake(
    canvas: Canvas,
    rng: np.random.Generator,
    region: Region,
    inside: np.ndarray,
    radius_mm: float,
    *,
    mass: bool,
    share: np.ndarray | None = None,
    suv: float | None = None,
    least: float = 0.0,
    faint: bool = False,
) -> float:
    """Give a lesion's voxels their activity.

    The ranges imitate contoured soft-tissue sarcomas: standard deviation over mean 0.3 to 0.9, a quarter to nine
    tenths of the mask under 41 % of its maximum, tissue around it two or three times as active as resting muscle.

    Args:
        canvas: whose activity is changed; its labels must not hold the lesion yet.
        rng: draws the pattern.
        region: slices around the lesion.
        inside: the lesion's voxels in that region, bool.
        radius_mm: radius of a ball of its volume.
        mass: a large heterogeneous mass outlined by anatomy rather than by uptake.
        share: of each voxel that the lesion fills, 0 to 1; else all of those `inside` and nothing of the others.
        suv: of the viable part, else drawn: 2 to 40, one lesion in eight hardly above what it grows in; small ones
            bright enough to be seen through 6 mm of blur.
        least: the smallest SUV it may have.
        faint: 2 to 6 times what it grows in and hardly uneven, as a small node or a sphere of a test object is.

    Returns:
        SUV of the viable part before blur.
    """
    activity = canvas.activity[region]
    background = float(np.median(activity[inside]))
    if faint:
        suv = float(np.exp(rng.uniform(np.log(2.0), np.log(6.0)))) * max(background, 0.2)
        uneven = suv * np.exp(rng.uniform(0.0, 0.12) * canvas.field(rng.uniform(5.0, 8.0), region))
        _fill(activity, uneven, inside, share)
        return suv
    depth = ndimage.distance_transform_edt(inside, sampling=canvas.spacing_mm).astype(np.float32)
    if suv is None:
        suv = float(np.exp(rng.normal(np.log(4.6 if mass else 7.5), 0.75)))
        if not mass and rng.random() < 0.12:
            suv = float(rng.uniform(1.4, 2.2)) * background  # hardly more than what it grows in
    recovery = float(np.clip((radius_mm / 9) ** 1.5, 0.15, 1))  # about, of a ball at 6 mm FWHM
    suv = max(suv, background + (0.4 * background + 0.5) / recovery, float(rng.uniform(2.0, 2.6)), least)  # or unseen
    suv = float(np.clip(suv, *SUV_RANGE))

    heterogeneity = rng.uniform(0.12, 0.42) if mass else rng.uniform(0.12, 0.4)
    grain = rng.uniform(5.0, max(8.0, 0.45 * radius_mm))
    level = suv * np.exp(heterogeneity * canvas.field(grain, region))
    if radius_mm > 9:
        level *= np.exp(rng.uniform(0, 0.45) * canvas.field(0.9 * radius_mm, region))  # one side hotter
    if not mass or rng.random() < 0.4:
        level *= _gradient(canvas, rng, region, inside, rng.uniform(0.2, 0.65))
    if not mass:  # a border that is fainter in places
        rim = np.clip(0.4 + canvas.field(max(5.0, 0.7 * radius_mm), region), 0, 1) * rng.uniform(0.3, 0.8)
        level = np.where(depth <= max(0.3 * radius_mm, 0.9 * min(canvas.spacing_mm)), level * (1 - rim), level)
    level = np.maximum(level, 1.15 * background)
    if radius_mm > 6 and rng.random() < (0.7 if mass and radius_mm > 9 else 0.3):
        level = _necrosis(canvas, rng, region, inside, depth, level, background)
    if mass:
        if rng.random() < 0.45:  # a part of the contour with hardly any uptake
            quiet = canvas.field(0.8 * radius_mm, region) - 0.6 * depth / depth.max()
            level = _fade(level, background * rng.uniform(1.0, 2.2), quiet, inside, rng.uniform(0.05, 0.35))
        shell = rng.uniform(0, 5)  # the contour's own margin
        level = np.where(depth <= shell, 0.5 * (level + 1.5 * background), level)
        _surround(canvas, rng, region, inside, level)
    _fill(activity, level, inside, share)
    return suv


def _fill(activity: np.ndarray, level: np.ndarray, inside: np.ndarray, share: np.ndarray | None) -> None:
    if share is None:
        np.copyto(activity, level, where=inside)
    else:
        activity += share * (level - activity)


def _gradient(canvas: Canvas, rng: np.random.Generator, region: Region, inside: np.ndarray, share: float) -> np.ndarray:
    """Factors that rise along a random direction through a lesion, from 1 - share to 1 + share."""
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    x, y, z = (
        np.float32(a * step) * np.arange(n, dtype=np.float32)
        for a, step, n in zip(axis, canvas.spacing_mm, inside.shape, strict=True)
    )
    along = x[:, None, None] + y[:, None] + z
    low, high = float(along[inside].min()), float(along[inside].max())
    return 1 + np.float32(share) * np.clip((2 * along - low - high) / max(high - low, 1.0), -1, 1)


def _necrosis(
    canvas: Canvas,
    rng: np.random.Generator,
    region: Region,
    inside: np.ndarray,
    depth: np.ndarray,
    level: np.ndarray,
    background: float,
) -> np.ndarray:
    """The uptake with one or more cold cores, deep inside rather than at the border."""
    deepest = float(depth.max())
    grain = rng.uniform(0.45, 0.9) * deepest + 5
    cold = canvas.field(grain, region) + rng.uniform(1.0, 4.0) * np.minimum(depth / deepest, 0.6)
    core = rng.uniform(0.15, 0.8) * max(background, 0.5)
    rim = rng.uniform(0.25, 0.6) * min(deepest, 14.0)  # what stays alive around it: a ring
    return _fade(level, core, cold, inside & (depth > rim), rng.uniform(0.3, 0.95))


def _fade(level: np.ndarray, low: float, order: np.ndarray, among: np.ndarray, share: float) -> np.ndarray:
    """The level brought down to `low` in that share of the voxels `among` where `order` is highest, softly."""
    if not among.any():
        return level
    limit = np.quantile(order[among], 1 - share)
    weight = np.clip((order - limit) / 0.35 + 0.5, 0, 1) * among
    return level * (1 - weight) + np.minimum(level, low) * weight


def _surround(canvas: Canvas, rng: np.random.Generator, region: Region, inside: np.ndarray, level: np.ndarray) -> None:
    """Make the soft tissue around a mass busier (oedema, reaction), and let uptake cross the contour in places."""
    outside = ndimage.distance_transform_edt(~inside, sampling=canvas.spacing_mm).astype(np.float32)
    labels, activity = canvas.labels[region], canvas.activity[region]
    soft = ((labels == VALUES["fat"]) | (labels == VALUES["muscle"])) & ~inside
    uneven = np.exp(0.7 * canvas.field(16.0, region))
    halo = activity * (1 + rng.uniform(0.2, 2.6) * np.exp(-outside / rng.uniform(7, 22)) * uneven)
    if rng.random() < 0.5:
        crossing = rng.uniform(4, 12) * (canvas.field(25.0, region) - rng.uniform(0, 1)) - outside
        halo = np.where(crossing > 0, np.maximum(halo, rng.uniform(0.3, 0.8) * level), halo)
    np.copyto(activity, halo, where=soft)
