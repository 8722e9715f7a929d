"""Small PET series written on the spot."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from seganypet.pet import write_pet_dicom_series

# head first, axial: columns to the patient's left and rows to the back, in RAS terms both negative
AXIAL = np.array([[-4.0, 0, 0, 90], [0, -3.0, 0, 80], [0, 0, 2.5, -700], [0, 0, 0, 1.0]])


@pytest.fixture
def suv() -> np.ndarray:
    """An asymmetric volume: no flip or exchange of axes leaves it as it is."""
    voxels = np.random.default_rng(7).gamma(1.5, 1.0, (9, 8, 7)).astype(np.float32)
    voxels[6:, 1:3, 4] += 20
    return voxels


@pytest.fixture
def axial_series(tmp_path, suv) -> Path:
    folder = tmp_path / "series"
    write_pet_dicom_series(suv, AXIAL, folder)
    return folder


def edit(folder: Path, change, *, only: int | None = None) -> None:
    """Apply `change(dataset)` to every file of a series, or only to the one at that place, and save them again."""
    for index, path in enumerate(sorted(folder.glob("*.dcm"))):
        if only is None or index == only:
            dataset = pydicom.dcmread(path)
            change(dataset)
            dataset.save_as(path)
