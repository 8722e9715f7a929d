"""A PET study that gives a flipped or swapped axis away: different sizes, feet first, slices numbered at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seganypet.pet import SyntheticPatient, SyntheticScan, write_pet_dicom_series

SHAPE = (44, 36, 52)
# Feet first, supine: the scanner's axes run to the patient's right and head. 4 × 4 × 3.5 mm.
AFFINE = np.array([[4.0, 0, 0, -80.5], [0, -4.0, 0, 70.25], [0, 0, -3.5, 90.75], [0, 0, 0, 1]])
LESION = (30, 12, 36)  # voxel i, j, k of the hottest spot
RADIUS = 3.5  # voxels


def study_suv() -> NDArray[np.float32]:
    """SUV that differs in every voxel of a body, one lesion of SUV 12 off the centre along all three axes."""
    i, j, k = np.indices(SHAPE, dtype=np.float32)
    body = ((i - 22) / 18) ** 2 + ((j - 18) / 14) ** 2 < 1
    suv = np.where(body, 0.6 + i / 100 + j / 200 + k / 400, 0.0)
    distance = np.sqrt((i - LESION[0]) ** 2 + (j - LESION[1]) ** 2 + (k - LESION[2]) ** 2)
    return np.where(distance < RADIUS, 12 - distance, suv).astype(np.float32)


def write_study(folder: Path, *, seed: int, name: str = "Asymmetric^Ann", sex: str = "F") -> list[Path]:
    """The study as DICOM files; PatientSex is F or M because OHIF's SUV scaling fails with O."""
    numbers = np.random.default_rng(seed).permutation(SHAPE[2]) + 1
    return write_pet_dicom_series(
        study_suv(),
        AFFINE,
        folder,
        patient=SyntheticPatient(name=name, patient_id=f"TEST{seed}", sex=sex, position="FFS"),
        scan=SyntheticScan(seed=seed),
        instance_numbers=[int(number) for number in numbers],
    )
