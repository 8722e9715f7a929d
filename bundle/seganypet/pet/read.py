"""`read_pet`: whatever a PET is stored as, one volume."""

from __future__ import annotations

from pathlib import Path

from seganypet.pet.nifti import NIFTI_SUFFIXES, read_nifti
from seganypet.pet.volume import PetVolume


def read_pet(path: str | Path, *, series_uid: str | None = None, units: str | None = None) -> PetVolume:
    """One static PET volume from a NIfTI file."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        return read_nifti(path, units=units)
    raise ValueError(f"{path} is not a NIfTI file")
