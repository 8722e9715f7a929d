"""Whole-body studies to serve, and what a reader clicks in each."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from seganypet.clicks import Click, centre_click
from seganypet.data import make_phantom
from seganypet.inference import ClickSegmenter
from seganypet.pet import PetVolume

ORGANS = ("liver", "heart", "spleen", "brain", "urinary_bladder", "kidney_left", "lesion_1")
VOXEL_MM = (4.0, 4.0, 3.0)
SEED = 28


@dataclass(frozen=True)
class ServedStudy:
    """A study and its reader's clicks, in order."""

    name: str
    clicks: tuple[Click, ...]


def write_studies(
    folder: Path, count: int, shape: tuple[int, int, int], clicks: int, segmenter: ClickSegmenter
) -> list[ServedStudy]:
    """One phantom in the middle of a scanner's field of view, in as many studies, each scaled by another factor.

    Args:
        folder: gets study_00.nii.gz and so on.
        shape: voxels of the field of view, of 4×4×3 mm; what of the patient lies outside is cut.
        clicks: how many a reader makes.
        segmenter: whose errors the readers click at.
    """
    volume, targets = whole_body(shape)
    organs = [targets[name] for name in ORGANS if name in targets]
    per_organ = [reader_clicks(segmenter, volume, organ, clicks) for organ in organs[:count]]
    folder.mkdir(parents=True, exist_ok=True)
    studies = []
    for number in range(count):
        name = f"study_{number:02d}"
        image = nib.Nifti1Image((volume.voxels * (1 + 0.002 * number)).astype(np.float32), np.diag([*VOXEL_MM, 1.0]))
        with gzip.open(folder / f"{name}.nii.gz", "wb", compresslevel=1) as file:
            image.to_stream(file)
        studies.append(ServedStudy(name, per_organ[number % len(per_organ)]))
    return studies


def whole_body(shape: tuple[int, int, int], lesion_count: int | None = None) -> tuple[PetVolume, dict[str, np.ndarray]]:
    """A phantom in the middle of a field of view of so many voxels of 4×4×3 mm, and its targets' masks by name."""
    phantom = make_phantom(SEED, scan_range="whole_body", voxel_size_mm=VOXEL_MM, lesion_count=lesion_count)
    suv, labels = _fitted(phantom.suv, shape), _fitted(phantom.labels, shape)
    masks = {name: labels == value for value, name in phantom.label_names.items()}
    volume = PetVolume(suv.astype(np.float32), np.diag([*VOXEL_MM, 1.0]))
    return volume, {name: mask for name, mask in masks.items() if mask.any()}


def reader_clicks(segmenter: ClickSegmenter, volume: PetVolume, organ: np.ndarray, count: int) -> tuple[Click, ...]:
    """A simulated reader's clicks: in the middle of the largest error of the answer so far.

    Where nothing is wrong any more, once again in the organ's middle voxels, so that every reader makes as many.
    """
    clicks: list[Click] = []
    mask, spares = np.zeros_like(organ), iter(np.argwhere(organ)[len(np.argwhere(organ)) // 2 :].tolist())
    while len(clicks) < count:
        clicks.append(centre_click(mask, organ, VOXEL_MM) or Click(tuple(next(spares))))
        # as servers replay what viewers send: positive ones first
        mask = segmenter.segment(volume, sorted(clicks, key=lambda click: not click.positive))
    return tuple(clicks)


def _fitted(voxels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """An array in the middle of a larger one of zeros, or its own middle where it is larger."""
    whole = np.zeros(shape, voxels.dtype)
    target, source = [], []
    for wanted, given in zip(shape, voxels.shape, strict=True):
        length = min(wanted, given)
        target.append(slice((wanted - length) // 2, (wanted - length) // 2 + length))
        source.append(slice((given - length) // 2, (given - length) // 2 + length))
    whole[tuple(target)] = voxels[tuple(source)]
    return whole
