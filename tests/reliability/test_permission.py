"""A studies folder that belongs to another user: an answer in words, the label before stays, clicks go on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
from running_server import Server, save_everything_network, start_server

SHAPE = (40, 40, 40)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
NOBODY = 65534
AS_OTHERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")  # root without it is denied things


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can give a folder to another user, and only setpriv takes root's rights from a server")
    studies = tmp_path / "studies"
    studies.mkdir()
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE), studies / "study.nii.gz")
    weights = save_everything_network(tmp_path / "everything.pt")
    conf = ["--conf", "weights", str(weights), "--conf", "encode_ahead_s", "0"]
    yield from start_server(tmp_path / "server", studies, *conf, under=AS_OTHERS)


def save(server: Server, seed: int) -> tuple[requests.Response, np.ndarray]:
    voxels = (np.random.default_rng(seed).random(SHAPE) > 0.5).astype(np.uint8)
    return server.save("study", voxels, AFFINE), voxels


def give(folder: Path, user: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user)


def test_what_another_user_owns_is_not_written_and_that_is_said(server, tmp_path):
    studies = tmp_path / "studies"
    answer, first = save(server, 1)
    assert answer.status_code == 200, answer.text
    give(studies, NOBODY)
    denied = subprocess.run([*AS_OTHERS, "touch", str(studies / "labels" / "x")], capture_output=True, text=True)
    assert "Permission denied" in denied.stderr
    refused, _ = save(server, 2)
    assert refused.status_code == 503, refused.text
    assert "may not write there: this was not saved" in refused.json()["detail"]
    assert refused.json()["request_id"]
    label = studies / "labels" / "final" / "study.nii.gz"
    np.testing.assert_array_equal(np.asarray(nib.load(label).dataobj), first)
    assert list(studies.rglob("*.partial")) == []
    assert server.numbers("image=study", {"foreground": [[8, 6, 12]], "background": []})["voxels"] > 0
    assert requests.get(f"{server.url}/health", timeout=30).json()["status"] == "degraded"
    give(studies, os.getuid())
    answer, third = save(server, 3)
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(np.asarray(nib.load(label).dataobj), third)
