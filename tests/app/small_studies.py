"""Studies small enough to be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SHAPE = (24, 20, 30)
HOT = (slice(6, 10), slice(4, 8), slice(10, 15))  # 80 voxels of SUV 8 in SUV 1
HOT_CENTRE = [8, 6, 12]
AFFINE = np.array([[-4.0, 0, 0, 50], [0, 4.0, 0, -30], [0, 0, 4.0, -700], [0, 0, 0, 1]])
DICOM_AFFINE = np.array([[-4.0, 0, 0, 50.25], [0, -4.0, 0, 30.1], [0, 0, 4.0, -700.3], [0, 0, 0, 1]])


def hot_block() -> NDArray[np.float32]:
    """SUV 1 everywhere, a block of 4×4×5 voxels of SUV 8; smaller than a window in every direction."""
    suv = np.ones(SHAPE, np.float32)
    suv[HOT] = 8
    return suv


def save_nifti(voxels: NDArray[np.float32], path: Path, affine: NDArray[np.float64] = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path
