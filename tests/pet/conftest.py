"""Small PET series written on the spot."""

from pathlib import Path

import numpy as np
import pytest
from series_editing import AXIAL

from seganypet.pet import write_pet_dicom_series


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
