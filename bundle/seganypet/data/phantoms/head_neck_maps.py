"""Head and neck anatomies out of a CT and a planner's labels (OpenKBP): bone, brain, airways, fat, glands."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

OPENKBP_LABELS = {
    "Mandible": 2,
    "LeftParotid": 3,
    "RightParotid": 4,
    "Brainstem": 5,
    "SpinalCord": 6,
    "Esophagus": 7,
    "Larynx": 8,
}
"""Values of the planner's labels that are tissues; 1 is the treated range, 9 to 11 planning volumes, no lesions."""

HEAD_NECK_NAMES: dict[int, str] = {
    1: "body",
    2: "adipose_tissue",
    3: "skeleton",
    4: "air",
    5: "lungs",
    6: "brain",
    7: "brainstem",
    8: "spinal_cord",
    9: "mandible",
    10: "parotid_gland_left",
    11: "parotid_gland_right",
    12: "esophagus",
    13: "larynx",
}
_FROM_PLANNER = {7: "Brainstem", 8: "SpinalCord", 9: "Mandible", 10: "LeftParotid", 11: "RightParotid"}
_FROM_PLANNER |= {12: "Esophagus", 13: "Larynx"}

_AIR, _FAT, _BONE = 600, 950, 1250  # stored CT values: below, air and lung; below, fat; above, bone
_SMALLEST_SLICE_CM2 = 45.0  # a neck has 80 and more; where only the cord was contoured, the CT holds the cord alone
_DEEP_MM = 13.0  # an eye's radius
_LEAST_BONE_CM2 = 4.0  # above the middle: where only the brain was contoured, the CT holds it without its skull


def head_neck_map(labels: np.ndarray, ct: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Tissues of a head and neck, values as in `HEAD_NECK_NAMES`.

    Args:
        labels: OpenKBP's values [i, j, k], axes towards right, front and head.
        ct: HU + 1000, 0 where the CT was not kept [i, j, k].
        spacing_mm: voxel size.

    Returns:
        [i, j, k] uint8, 0 outside the body and in slices that hold less than a neck.

    Raises:
        ValueError: no slice with a neck in it.
    """
    body = _body(ct, spacing_mm)
    if not body.any():
        raise ValueError("the CT holds no slice with a head or neck in it")
    bone = body & (ct > _BONE)
    bare = bone.sum((0, 1)) * spacing_mm[0] * spacing_mm[1] / 100 < _LEAST_BONE_CM2
    bare[: int(np.flatnonzero(body.any((0, 1))).mean())] = False
    runs, _ = ndimage.label(body.any((0, 1)) & ~bare)
    kept = runs == 1 + int(np.argmax(np.bincount(runs)[1:]))  # the longest stretch of neck and head
    body, bone = body & kept, bone & kept
    bone = _without_specks(bone, 1000, spacing_mm)
    stem = labels == OPENKBP_LABELS["Brainstem"]
    brain = skull_inside(bone, spacing_mm, stem) & body & ~bone & (ct > 0.5 * (_FAT + 1000))
    result = body.astype(np.uint8)
    smooth = ndimage.median_filter(ct, 3)
    result[body & (smooth < _FAT) & (smooth >= _AIR)] = 2
    hollow = body & (ct < _AIR)
    parts, _ = ndimage.label(hollow)
    sizes = np.bincount(parts.ravel()) * np.prod(spacing_mm) / 1000
    result[hollow] = 4
    for part in np.flatnonzero(sizes[1:] > 60) + 1:  # mL: lung and trachea; the trachea's own part stays small
        result[ndimage.binary_opening(parts == part, iterations=2)] = 5
    result[bone] = 3
    result[brain] = 6
    for value, name in _FROM_PLANNER.items():
        here = labels == OPENKBP_LABELS[name]
        result[here & body & ~((value != 9) & bone)] = value
    return result


def skull_inside(bone: np.ndarray, spacing_mm: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
    """The cavity that bone encloses in axial slices, without what is as thin as a sinus or a canal.

    Args:
        bone: bool [i, j, k], the third axis towards the head.
        spacing_mm: voxel size.
        near: a part of the brain [i, j, k]: the cavity has to lie at it, where it is not empty.

    Returns:
        bool [i, j, k]: the largest such cavity in the bones' upper half, none where nothing of 20 mm is enclosed.
    """
    reach = np.maximum(1, np.round(13 / spacing_mm[:2])).astype(int)
    disk = np.ones((2 * reach[0] + 1, 2 * reach[1] + 1), dtype=bool)
    pad = [(int(r) + 1, int(r) + 1) for r in reach]
    filled = np.zeros_like(bone)
    for k in range(bone.shape[2]):
        if bone[..., k].any():
            whole = ndimage.binary_fill_holes(ndimage.binary_dilation(np.pad(bone[..., k], pad), disk))
            whole = ndimage.binary_erosion(whole, disk)  # a plain closing leaves gaps in what is curved
            filled[..., k] = whole[pad[0][0] : -pad[0][0], pad[1][0] : -pad[1][0]]
    along = np.ones((1, 1, 2 * max(1, round(15 / spacing_mm[2])) + 1), dtype=bool)
    cavity = (filled | ndimage.binary_closing(filled, along)) & ~bone  # slices whose ring is open, at the eyes
    padded = np.pad(cavity, ((0, 0), (0, 0), (8, 8)), mode="edge")  # a scan that ends in the brain does not thin it
    deep = ndimage.distance_transform_edt(padded, sampling=spacing_mm)[..., 8:-8] > _DEEP_MM
    parts, count = ndimage.label(deep)
    if not count:
        return np.zeros_like(bone)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:].astype(float)
    heights = ndimage.center_of_mass(deep, parts, np.arange(1, count + 1))
    occupied = np.flatnonzero(bone.any((0, 1)))
    sizes[[height[2] < occupied[[0, -1]].mean() for height in heights]] = 0  # ribs enclose the chest
    if near is not None and near.any():
        around = ndimage.distance_transform_edt(~near, sampling=spacing_mm) < 15
        sizes[np.bincount(parts[around], minlength=count + 1)[1:] == 0] = 0
    if not sizes.any():
        return np.zeros_like(bone)
    core = parts == 1 + int(np.argmax(sizes))
    return cavity & (ndimage.distance_transform_edt(~core, sampling=spacing_mm) < _DEEP_MM + 1)


def _body(ct: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """The body's one piece, airways filled, in the slices that hold at least a neck."""
    solid = ndimage.binary_opening(ct > _AIR)
    parts, count = ndimage.label(solid)
    if not count:
        return np.zeros(ct.shape, dtype=bool)
    solid = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    solid = np.stack([ndimage.binary_fill_holes(solid[..., k]) for k in range(ct.shape[2])], axis=2)
    area = solid.sum((0, 1)) * spacing_mm[0] * spacing_mm[1] / 100
    return solid & (area >= _SMALLEST_SLICE_CM2)


def _without_specks(mask: np.ndarray, smallest_mm3: float, spacing_mm: np.ndarray) -> np.ndarray:
    parts, _ = ndimage.label(mask)
    large = np.bincount(parts.ravel()) * np.prod(spacing_mm) >= smallest_mm3
    large[0] = False
    return large[parts]
