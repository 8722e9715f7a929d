"""Real tumours in made-up patients: a PET crop blended into a phantom's soft tissue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from seganypet.data.phantoms.anatomy import FIRST_LESION, VALUES, lesion_name
from seganypet.data.phantoms.lesion_growth import Lesion
from seganypet.data.phantoms.phantom import Phantom

_AIR_SUV = 0.12
_PLACES, _POINTS = 400, 400


class NoRoomError(ValueError):
    """No place in the phantom's soft tissue is large enough for the tumour."""


def paste_crop(
    phantom: Phantom,
    suv: np.ndarray,
    mask: np.ndarray,
    affine: np.ndarray,
    seed: int | np.random.Generator = 0,
    *,
    margin_mm: float = 20.0,
    feather_mm: float = 8.0,
    mirrored: bool | None = None,
) -> Phantom:
    """The phantom with a real tumour in its soft tissue: thigh, buttock, trunk wall or wherever it fits.

    A crop cut around a tumour tells a network where the tumour is. In a whole body it does not; so no more of the
    crop than `margin_mm` around the tumour is kept, the last `feather_mm` of it fading into the phantom. Organs and
    other lesions stay as they are. Where crop and phantom share a voxel size, the crop's voxels are copied, not
    interpolated.

    Args:
        phantom: the patient; not changed.
        suv: SUVbw of the crop [i, j, k].
        mask: the tumour in it, bool of the same shape.
        affine: of the crop, voxel → mm, RAS+.
        seed: a number, or a generator that is drawn from: chooses the place.
        margin_mm: how much of the crop around the tumour is kept, at most 20.
        feather_mm: width of the fade, within the margin.
        mirrored: left for right; drawn if None.

    Raises:
        ValueError: shapes that differ, an empty mask, a margin over 20 mm, or a tumour for which the phantom has no
            room.
    """
    mask = np.asarray(mask, dtype=bool)
    if suv.shape != mask.shape or suv.ndim != 3:
        raise ValueError(f"crop and mask must be 3D and alike, got {suv.shape} and {mask.shape}")
    if not mask.any():
        raise ValueError("the crop's mask is empty")
    if not 0 < feather_mm <= margin_mm <= 20:
        raise ValueError(f"0 < feather_mm <= margin_mm <= 20 is needed, got {feather_mm!r} and {margin_mm!r}")
    rng = np.random.default_rng(seed)
    flip = bool(rng.random() < 0.5) if mirrored is None else mirrored
    crop, inside = _onto_grid(np.asarray(suv, dtype=np.float32), mask, affine, phantom.affine, flip)
    crop, inside, outside_mm = _trim(crop, inside, phantom.spacing_mm, margin_mm)
    corner = _place(phantom.labels, inside, rng)

    shape = np.array(crop.shape)
    low = np.maximum(corner, 0)
    high = np.minimum(corner + shape, phantom.labels.shape)
    there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    here = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, corner, strict=True))
    crop, inside, outside_mm = crop[here], inside[here], outside_mm[here]
    labels = phantom.labels[there]
    weight = np.clip((margin_mm - outside_mm) / feather_mm, 0, 1)
    kept = np.isin(labels, [0, VALUES["fat"], VALUES["muscle"], VALUES["skeleton"]])
    kept &= (ndimage.uniform_filter(crop, 3) > _AIR_SUV) | (labels == 0)  # no air of the crop inside the body
    weight = weight * kept * np.minimum(1, _to_face_mm(crop.shape, phantom.spacing_mm) / feather_mm)
    around = (outside_mm > 0.5 * margin_mm) & (weight > 0) & (labels > 0)
    if around.any():  # towards its rim, bring the crop to the activity that is there: no halo gives the paste away
        ratio = np.clip(np.median(phantom.suv[there][around]) / max(np.median(crop[around]), 1e-3), 0.4, 2.5)
        crop = crop * (1 + (ratio - 1) * np.clip(outside_mm / margin_mm, 0, 1))
    weight = np.where(inside, 1, weight)

    value = max(FIRST_LESION - 1, int(phantom.labels.max())) + 1
    new_suv, new_labels = phantom.suv.copy(), phantom.labels.copy()
    new_suv[there] = weight * crop + (1 - weight) * new_suv[there]
    new_labels[there][inside] = value
    volume = float(inside.sum() * np.prod(phantom.spacing_mm) / 1000)
    asked = float(mask.sum() * abs(np.linalg.det(affine[:3, :3])) / 1000)
    lesion = Lesion(lesion_name(value - FIRST_LESION + 1), value, "pasted", asked, volume, float(crop[inside].mean()))
    return replace(
        phantom,
        suv=new_suv,
        labels=new_labels,
        label_names=phantom.label_names | {value: lesion.name},
        lesions=[*phantom.lesions, lesion],
    )


def _onto_grid(
    suv: np.ndarray, mask: np.ndarray, affine: np.ndarray, target: np.ndarray, flip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The crop on voxels of the target's size and axes, its first voxel on one of them."""
    mirror = np.diag([-1.0 if flip else 1.0, 1, 1])
    step = np.linalg.inv(mirror @ affine[:3, :3]) @ target[:3, :3]  # crop voxels per target voxel
    nearest = np.rint(step)
    step = np.where(np.abs(step - nearest) < 1e-3, nearest, step)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in suv.shape], indexing="ij")).reshape(3, -1)
    reach = np.linalg.inv(step) @ corners
    low, high = np.floor(reach.min(1) + 1e-6).astype(int), np.ceil(reach.max(1) - 1e-6).astype(int)
    grid = np.stack(np.meshgrid(*[np.arange(a, b + 1) for a, b in zip(low, high, strict=True)], indexing="ij"))
    index = np.tensordot(step, grid, 1)
    crop = ndimage.map_coordinates(suv, index, order=1, mode="nearest")
    share = ndimage.map_coordinates(mask.astype(np.float32), index, order=1, mode="constant")
    # As many voxels as hold the mask's volume: half a share would shrink what bulges outwards by up to a tenth.
    count = max(1, round(mask.sum() * abs(np.linalg.det(affine[:3, :3]) / np.linalg.det(target[:3, :3]))))
    inside = np.zeros(share.shape, dtype=bool)
    inside.ravel()[np.argsort(-share, axis=None, kind="stable")[:count]] = True
    return crop, inside & (share > 0)


def _to_face_mm(shape: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """How far each voxel of a block lies from its nearest face, in mm; 0 on the outermost voxels."""
    distances = [np.minimum(np.arange(n), np.arange(n)[::-1]) * step for n, step in zip(shape, spacing_mm, strict=True)]
    return np.minimum(np.minimum(distances[0][:, None, None], distances[1][:, None]), distances[2])


def _trim(
    crop: np.ndarray, inside: np.ndarray, spacing_mm: tuple[float, float, float], margin_mm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Crop and mask cut to the margin, with each voxel's distance to the mask in mm."""
    if not inside.any():
        raise ValueError("the mask is smaller than one of the phantom's voxels")
    around = ndimage.distance_transform_edt(~inside, sampling=spacing_mm)
    box = ndimage.find_objects((around <= margin_mm).astype(np.int8))[0]
    return crop[box], inside[box], around[box]


def _place(labels: np.ndarray, inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """First voxel of the place where the tumour lies in soft tissue: one of the best of some hundred tried."""
    soft = np.zeros(int(labels.max()) + 1, dtype=np.float32)
    soft[[VALUES["muscle"], VALUES["fat"]]] = 1.0, 0.9
    soft[VALUES["skeleton"]] = 0.3
    starts = np.flatnonzero(labels == VALUES["muscle"])
    if not len(starts):
        raise ValueError("the phantom has no muscle to paste into")
    places = np.stack(np.unravel_index(rng.choice(starts, _PLACES), labels.shape), 1)  # of the mask's middle
    tumour = np.argwhere(inside)
    points = rng.permutation(tumour)[:_POINTS]
    corners = places - np.rint(tumour.mean(0)).astype(int)
    where = corners[:, None] + points  # [places, points, 3]
    within = ((where >= 0) & (where < labels.shape)).all(2)
    clipped = np.clip(where, 0, np.array(labels.shape) - 1)
    score = (soft[labels[clipped[..., 0], clipped[..., 1], clipped[..., 2]]] * within).mean(1)
    fits = within.all(1) & ~(labels[clipped[..., 0], clipped[..., 1], clipped[..., 2]] >= FIRST_LESION).any(1)
    score = np.where(fits, score, 0)
    if score.max() < 0.5:
        raise NoRoomError(
            f"no room for a tumour of {len(tumour)} voxels in {labels.shape}: at best {score.max():.0%} in soft tissue"
        )
    return corners[rng.choice(np.flatnonzero(score >= 0.97 * score.max()))]
