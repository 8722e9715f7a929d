"""A real server process over a small studies folder, and a network whose answers can be worked out by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from running_server import APP, Server, save_everything_network, start_server
from small_studies import DICOM_AFFINE, hot_block, save_nifti

from seganypet.pet import write_pet_dicom_series

sys.path.insert(0, str(APP))


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
