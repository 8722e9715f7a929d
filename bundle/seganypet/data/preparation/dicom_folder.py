"""Labelled studies of a folder of DICOM: PET series with an RTSTRUCT or SEG that refers to them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from seganypet.data.data_list import Entry
from seganypet.data.preparation.dicom_references import series_drawn_on
from seganypet.data.preparation.found import Found, FoundStudy
from seganypet.data.preparation.rtstruct import rtstruct_masks
from seganypet.pet import PetReadError, PetSeries, PetVolume, SuvUnavailableError, find_series, read_pet
from seganypet.pet.dicom_file import read_dicom
from seganypet.pet.nifti import write_mask_nifti
from seganypet.pet.segmentation_import import read_seg

STRUCTURES = ("RTSTRUCT", "SEG")


def find_dicom(
    folder: str | Path, output: str | Path, *, structures: Collection[str] = (), quality: str = "high"
) -> Found:
    """The PET series under a folder that structure files refer to, written as NIfTI: SUV and label maps.

    Structures that overlap cannot share a label map: each goes into the first of the study's maps where it has room,
    and every map becomes an entry of its own, with the same image.

    Args:
        folder: DICOM files in any arrangement.
        output: gets `<patient>_<series>/suv.nii.gz`, `labels_1.nii.gz` and so on.
        structures: names of the ROIs and segments to take; all by default.
        quality: of all labels.

    Raises:
        FileNotFoundError: no such folder.
    """
    found = Found()
    series = find_series(folder)
    scans = {one.uid: one for one in series if one.modality == "PT"}
    used: set[str] = set()
    for one in series:
        if one.modality not in STRUCTURES:
            continue
        for file in one.files:
            try:
                uid = _add(file, one.modality, scans, Path(output), frozenset(structures), quality, found)
                used.add(uid)
            except (PetReadError, SuvUnavailableError, ValueError) as error:
                found.report(str(file), str(error))
    for uid, scan in scans.items():
        if uid not in used and scan.problem is None:
            found.report(str(scan.folder), f"PET series {uid} has no RTSTRUCT or SEG that could be used")
    return found


def _add(
    file: Path,
    modality: str,
    scans: dict[str, PetSeries],
    output: Path,
    structures: frozenset[str],
    quality: str,
    found: Found,
) -> str:
    """Writes one structure file's study and returns its PET series' UID."""
    content = read_dicom(file)
    scan = series_drawn_on(content, scans)
    uid = scan.uid
    if scan.problem is not None:
        raise PetReadError(f"its PET series {uid}: {scan.problem}")
    volume = read_pet(scan.folder, series_uid=uid)
    problems: list[str] = []
    if modality == "RTSTRUCT":
        masks, problems = rtstruct_masks(content, volume, file)
    else:
        masks = read_seg(file, volume)
    for problem in problems:
        found.report(str(file), problem)
    missing = sorted(structures - masks.keys())
    if missing:
        found.report(str(file), f"has no structure {', '.join(missing)}; it has {', '.join(sorted(masks))}")
    chosen = {name: mask for name, mask in masks.items() if not structures or name in structures}
    for name, mask in chosen.items():
        if not mask.any():
            found.report(str(file), f"structure {name!r} holds no voxel of the PET's grid")
    chosen = {name: mask for name, mask in chosen.items() if mask.any()}
    if not chosen:
        raise PetReadError("has no structure to train on")
    case = re.sub(r"[^\w.-]+", "_", f"{scan.patient_id or 'patient'}_{uid[-12:]}")
    home = output / case
    image = _write_suv(volume, home / "suv.nii.gz")
    # many an archive calls the one file of every series 1-1.dcm
    stem = re.sub(r"[^\w.-]+", "_", file.stem) + "_" + hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    for number, group in enumerate(without_overlap(chosen), start=1):
        label_map = np.zeros(volume.shape, np.uint8)
        names = dict(enumerate(group, start=1))
        for value, name in names.items():
            label_map[chosen[name]] = value
        label = write_mask_nifti(label_map, volume, home / f"labels_{stem}_{number}.nii.gz")
        entry = Entry(image, label, names, quality)
        found.studies.append(FoundStudy(f"{case}/{label.name}", scan.patient_id or case, entry))
    return uid


def without_overlap(masks: dict[str, NDArray[np.bool_]]) -> list[list[str]]:
    """Names in groups within which no two masks overlap; each in the first group that has room, in their order."""
    groups: list[tuple[list[str], NDArray[np.bool_]]] = []
    for name, mask in masks.items():
        for names, taken in groups:
            if not (taken & mask).any():
                names.append(name)
                taken |= mask
                break
        else:
            groups.append(([name], mask.copy()))
    return [names for names, _ in groups]


def _write_suv(volume: PetVolume, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(volume.suv, volume.affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path
