"""A real server process over a small studies folder, and a network whose answers can be worked out by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from running_server import APP, Server, save_everything_network, start_server

from seganypet.pet import write_pet_dicom_series

sys.path.insert(0, str(APP))

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


@pytest.fixture(scope="session")
def everything_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_everything_network(tmp_path_factory.mktemp("weights") / "model.pt")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, everything_weights: Path) -> Iterator[Server]:
    """Studies: `block` (NIfTI), `becquerel` (NIfTI in Bq/mL), `large` (several windows), `ann_pet` (DICOM)."""
    folder = tmp_path_factory.mktemp("server")
    studies = folder / "studies"
    studies.mkdir()
    save_nifti(hot_block(), studies / "block.nii.gz")
    save_nifti(hot_block() * 5000, studies / "becquerel.nii.gz")
    large = np.ones((70, 50, 110), np.float32)
    large[30:40, 30:40, 60:70] = 9
    save_nifti(large, studies / "large.nii.gz")
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, studies / "ann" / "pet")
    (studies / "notes.txt").write_text("no study")
    conf = ["--conf", "weights", str(everything_weights), "--conf", "labels", "liver,spleen,lesion"]
    conf += ["--conf", "encode_ahead_s", "0"]  # so that tests see what a click itself encodes
    yield from start_server(folder, studies, *conf)
