"""Every label map that comes in, from a file, checked: whole numbers, in range, on the grid of its study.

The one reader of data lists, cohort preparation, evaluation and the server. Slicer's `.seg.nrrd` may hold segments in
layers, which overlap: one map cannot hold that, so where they do, a lesion stays over an organ and the smaller over the
larger.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from seganypet.pet import PetVolume
from seganypet.pet.axes import LPS_RAS, itk_affine
from seganypet.pet.nifti import checked, nibabel_guess, open_nifti
from seganypet.pet.segment_codes import is_lesion
from seganypet.pet.suffixes import ITK_SUFFIXES, META_SUFFIXES, NIFTI_SUFFIXES, NRRD_SUFFIXES

logger = logging.getLogger(__name__)

LARGEST_LABEL = 32767  # int16, which every format here holds
WHOLE = 1e-3  # how far from a whole number a value may lie: some writers scale by 1.0000001
LABEL_SUFFIXES = (*NIFTI_SUFFIXES, ".seg.nrrd", *ITK_SUFFIXES)
SEGMENT = re.compile(r"Segment(\d+)_(Name|LabelValue|Layer)")
ON_GRID = 0.5  # voxels that a corner of the label's grid may lie beside its study's


class LabelError(ValueError):
    """A label map that cannot be used; the message says why and names the file."""


@dataclass(frozen=True)
class LabelMap:
    """Whole numbers on a grid.

    Args:
        voxels: [i, j, k] int16, 0 where nothing is labelled.
        affine: 4×4, voxel → RAS mm.
        names: names of values that the file itself gives, as Slicer's segments; empty where it gives none.
    """

    voxels: NDArray[np.int16]
    affine: NDArray[np.float64]
    names: Mapping[int, str]


def read_label_map(path: str | Path, volume: PetVolume | None = None) -> LabelMap:
    """A label map from .nii, .nii.gz, .nrrd, .seg.nrrd or .mha.

    Args:
        path: the file.
        volume: its study; the map is brought into the study's axis order and directions where it is stored in others.

    Raises:
        LabelError: not readable, not one 3-D map, values that are no labels, or another grid than the study's.
    """
    path = Path(path)
    name = path.name.lower()
    try:
        if name.endswith(NIFTI_SUFFIXES):
            label = _from_nifti(path)
        elif name.endswith(NRRD_SUFFIXES):
            label = _from_nrrd(path)
        elif name.endswith(META_SUFFIXES):
            label = _from_itk(path)
        else:
            raise LabelError(f"label {path} is none of {', '.join(LABEL_SUFFIXES)}")
    except LabelError:
        raise
    except Exception as error:  # the readers raise whatever a broken file makes them raise
        raise LabelError(f"label {path} cannot be read: {error}") from None
    return label if volume is None else on_grid_of(label, volume, path)


def overlap_order(name: str, voxels: int) -> tuple[bool, int]:
    """Sorts targets that overlap: a later one lies over an earlier, lesions over organs, the smaller over the larger.

    Args:
        name: the target's.
        voxels: how many it has, those under others too.
    """
    return is_lesion(name), -voxels


def whole_numbers(values: NDArray[Any], path: Path) -> NDArray[np.int16]:
    """Values as labels.

    Raises:
        LabelError: fractions, negative numbers, NaN, or more than 32767; how many, and which.
    """
    if values.dtype.kind not in "fiub":
        raise LabelError(f"label {path} holds {values.dtype}, no numbers")
    if values.dtype.kind == "f":
        bad = ~np.isfinite(values)
        if bad.any():
            raise LabelError(f"label {path} holds {int(bad.sum())} voxels that are NaN or infinite")
        apart = np.abs(values - np.rint(values)) > WHOLE
        if apart.any():
            raise LabelError(
                f"label {path} holds {int(apart.sum())} voxels that are no whole numbers, as {values[apart][0]:.4g}: "
                "a label map is resampled by nearest neighbour"
            )
        values = np.rint(values)
    low, high = values.min(initial=0), values.max(initial=0)
    if low < 0 or high > LARGEST_LABEL:
        raise LabelError(f"label {path} holds values from {low:g} to {high:g}; labels run from 0 to {LARGEST_LABEL}")
    return values.astype(np.int16)


def on_grid_of(label: LabelMap, volume: PetVolume, path: Path) -> LabelMap:
    """A label map in its study's axis order and directions.

    On a study that says no place of its own, nibabel's guess is taken for it, too: a label written by that means the
    same voxels.

    Raises:
        LabelError: another grid.
    """
    guess = nibabel_guess(volume)
    if guess is not None and label.voxels.shape == volume.shape and np.allclose(label.affine, guess, atol=WHOLE):
        return replace(label, affine=volume.affine)
    own, wanted = (nib.orientations.io_orientation(affine) for affine in (label.affine, volume.affine))
    if not np.array_equal(own, wanted):
        turn = nib.orientations.ornt_transform(own, wanted)
        shape = label.voxels.shape
        voxels = nib.orientations.apply_orientation(label.voxels, turn)
        affine = label.affine @ nib.orientations.inv_ornt_aff(turn, shape)
        label = replace(label, voxels=voxels, affine=affine)
    if label.voxels.shape != volume.shape:
        raise LabelError(f"label {path} has shape {list(label.voxels.shape)}, its study {list(volume.shape)}")
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    corners[:, :3] *= np.array(volume.shape) - 1
    apart_mm = float(np.linalg.norm((corners @ (label.affine - volume.affine).T)[:, :3], axis=1).max())
    if apart_mm > ON_GRID * min(volume.spacing_mm):
        raise LabelError(f"label {path} lies up to {apart_mm:.1f} mm beside its study; save it on the study's own grid")
    return label


def _squeezed(voxels: NDArray[Any], path: Path) -> NDArray[Any]:
    """One 3-D map; a fourth axis of one frame is none."""
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3:
        raise LabelError(f"label {path} has shape {list(voxels.shape)}: one 3-D map is needed")
    return voxels


def _from_nifti(path: Path) -> LabelMap:
    image, affine = open_nifti(path)
    voxels = np.asanyarray(checked(image, path).dataobj)
    return LabelMap(whole_numbers(_squeezed(voxels, path), path), affine, {})


def _from_itk(path: Path) -> LabelMap:
    image = sitk.ReadImage(str(path))
    voxels = sitk.GetArrayFromImage(image).T
    return LabelMap(whole_numbers(_squeezed(voxels, path), path), itk_affine(image), {})


def _from_nrrd(path: Path) -> LabelMap:
    voxels, header = nrrd.read(str(path))
    directions = np.asarray(header["space directions"], dtype=float)
    segments = _segments(header)
    if voxels.ndim == 4:  # Slicer's layers come first
        directions = directions[~np.isnan(directions).any(axis=1)]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions[-3:].T, header["space origin"]
    space = str(header.get("space", "")).lower()
    if space in ("left-posterior-superior", "lps"):
        affine = LPS_RAS @ affine
    elif space not in ("right-anterior-superior", "ras"):
        raise LabelError(
            f"label {path} is in space {space!r}, neither left-posterior-superior nor right-anterior-superior"
        )
    if not segments:
        if voxels.ndim == 4 and voxels.shape[0] > 1:
            raise LabelError(f"label {path} has {voxels.shape[0]} layers and names no segments in them")
        plain = voxels[0] if voxels.ndim == 4 else voxels
        return LabelMap(whole_numbers(_squeezed(plain, path), path), affine, {})
    layers = whole_numbers(voxels if voxels.ndim == 4 else voxels[None], path)
    flat, names = _flattened(layers, segments, path)
    return LabelMap(flat, affine, names)


@dataclass(frozen=True)
class _Segment:
    name: str
    value: int
    layer: int


def _segments(header: Mapping[str, Any]) -> list[_Segment]:
    """Slicer's segments in their order; empty where the header names none."""
    fields: dict[int, dict[str, str]] = {}
    for key, text in header.items():
        match = SEGMENT.fullmatch(str(key))
        if match is not None:
            fields.setdefault(int(match[1]), {})[match[2]] = str(text)
    return [
        _Segment(one.get("Name", f"segment {number}"), int(one.get("LabelValue", 1)), int(one.get("Layer", 0)))
        for number, one in sorted(fields.items())
    ]


def _flattened(
    layers: NDArray[np.int16], segments: list[_Segment], path: Path
) -> tuple[NDArray[np.int16], dict[int, str]]:
    """One map of segments in layers [L, i, j, k], and the names of its values.

    A segment keeps its value where no other has it; where layers use one value twice, values are the segments' places,
    from 1. Where segments overlap, the larger and organs are painted first.
    """
    bad = [segment for segment in segments if segment.layer >= len(layers)]
    if bad:
        raise LabelError(f"label {path} has {len(layers)} layers; segment {bad[0].name!r} names layer {bad[0].layer}")
    own = [segment.value for segment in segments]
    values = own if len(set(own)) == len(own) else list(range(1, len(segments) + 1))
    masks = [layers[segment.layer] == segment.value for segment in segments]
    sizes = [int(mask.sum()) for mask in masks]
    order = sorted(range(len(segments)), key=lambda n: overlap_order(segments[n].name, sizes[n]))
    flat = np.zeros(layers.shape[1:], np.int16)
    overlap = 0
    for n in order:
        overlap += int((flat[masks[n]] > 0).sum())
        flat[masks[n]] = values[n]
    if overlap:
        logger.warning("%s: segments overlap in %d voxels; lesions and smaller segments stay on top", path, overlap)
    return flat, {value: segment.name for value, segment in zip(values, segments, strict=True)}
