"""Label maps on a study's grid: read, checked, and one target put into what was saved before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
from numpy.typing import NDArray

from lib.click_request import BadRequest
from seganypet.pet import PetVolume
from seganypet.pet.axes import LPS_RAS

LARGEST_LABEL = 255


@dataclass(frozen=True)
class LabelMap:
    """Whole numbers on a grid.

    Args:
        voxels: [i, j, k], 0 where nothing is labelled.
        affine: 4×4, voxel → RAS mm.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64]


def read_label_map(path: Path, volume: PetVolume) -> LabelMap:
    """A label map that a client sent for a study.

    Raises:
        BadRequest: not a readable .nii, .nii.gz or .nrrd, or not on the study's grid.
    """
    try:
        label = _read_nrrd(path) if path.name.lower().endswith(".nrrd") else _read_nifti(path)
    except Exception as error:  # the readers raise whatever a broken file makes them raise
        raise BadRequest(f"the label cannot be read: {error}") from None
    if label.voxels.shape != volume.shape:
        raise BadRequest(f"the label has shape {list(label.voxels.shape)}, its study {list(volume.shape)}")
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    corners[:, :3] *= np.array(volume.shape) - 1
    apart_mm = np.linalg.norm((corners @ (label.affine - volume.affine).T)[:, :3], axis=1).max()
    if apart_mm > 0.5 * min(volume.spacing_mm):
        raise BadRequest(f"the label lies up to {apart_mm:.1f} mm beside its study; save it on the study's own grid")
    return label


def put_target(
    mask: NDArray[np.bool_], name: str, before: NDArray[Any] | None, label_info: Sequence[Mapping[str, Any]]
) -> tuple[NDArray[np.uint8], list[dict[str, Any]]]:
    """One target's mask put into a study's label map: the others stay, where they overlap the newest wins.

    Args:
        mask: [i, j, k], the target's new extent, which replaces its former one.
        name: the target's.
        before: the label map so far, or None.
        label_info: what its values mean, [{"name": ..., "idx": ...}].

    Returns:
        The new label map and what its values mean.

    Raises:
        BadRequest: more targets than values.
    """
    info = [dict(entry) for entry in label_info]
    taken = [int(entry["idx"]) for entry in info]
    labels = np.zeros(mask.shape, np.uint8) if before is None else before.astype(np.uint8)
    index = next((int(entry["idx"]) for entry in info if entry["name"] == name), 0)
    if not index:
        index = max([int(labels.max(initial=0)), *taken]) + 1
        if index > LARGEST_LABEL:
            raise BadRequest(f"a label map holds at most {LARGEST_LABEL} targets; {name!r} is one too many")
        info.append({"name": name, "idx": index})
    labels[labels == index] = 0
    labels[mask] = index
    return labels, info


def _read_nifti(path: Path) -> LabelMap:
    image: Any = nib.load(path)
    return LabelMap(np.asanyarray(image.dataobj), image.affine)


def _read_nrrd(path: Path) -> LabelMap:
    voxels, header = nrrd.read(str(path))
    directions = np.asarray(header["space directions"], dtype=float)
    if voxels.ndim == 4:  # Slicer's .seg.nrrd: layers of segments, which may overlap
        voxels, directions = voxels.max(axis=0), directions[1:]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions.T, header["space origin"]
    space = str(header.get("space", "")).lower()
    if space in ("left-posterior-superior", "lps"):
        affine = LPS_RAS @ affine
    elif space not in ("right-anterior-superior", "ras"):
        raise ValueError(f"its space is {space!r}, neither left-posterior-superior nor right-anterior-superior")
    return LabelMap(voxels, affine)
