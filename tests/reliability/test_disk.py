"""A disk that is full or read-only: an answer in words, nothing lost, and the next save works."""

from __future__ import annotations

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


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path_factory.mktemp("disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode != 0:
        pytest.skip("a file system of our own cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def server(disk, tmp_path_factory) -> Iterator[Server]:
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE), disk / "study.nii.gz")
    folder = tmp_path_factory.mktemp("server")
    weights = save_everything_network(folder / "everything.pt")
    yield from start_server(folder, disk, "--conf", "weights", str(weights), "--conf", "encode_ahead_s", "0")


def save(server: Server, seed: int) -> tuple[requests.Response, np.ndarray]:
    """Save a label that does not compress."""
    voxels = (np.random.default_rng(seed).random(SHAPE) > 0.5).astype(np.uint8)
    return server.save("study", voxels, AFFINE), voxels


def kept(disk: Path) -> np.ndarray:
    return np.asarray(nib.load(disk / "labels" / "final" / "study.nii.gz").dataobj)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


def drafts(disk: Path) -> list[Path]:
    return list(disk.rglob("*.partial"))


def test_a_full_disk_is_said_and_what_was_saved_stays(server, disk):
    answer, first = save(server, 1)
    assert answer.status_code == 200, answer.text
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space"):
        fill(filler)
    refused, _ = save(server, 2)
    assert refused.status_code == 507
    assert "the disk is full: this was not saved" in refused.json()["detail"]
    np.testing.assert_array_equal(kept(disk), first)
    assert drafts(disk) == []
    clicked = server.numbers("image=study", {"foreground": [[8, 6, 12]], "background": []})
    assert clicked["voxels"] > 0
    assert any("the disk of the studies folder has" in why for why in health(server)["reasons"])
    filler.unlink()
    answer, third = save(server, 3)
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(kept(disk), third)


def test_a_read_only_disk_is_said_and_clicks_go_on(server, disk):
    before = kept(disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        with pytest.raises(OSError, match="Read-only"):
            (disk / "x").write_text("x")
        refused, _ = save(server, 4)
        assert refused.status_code == 503
        assert "read-only: this was not saved" in refused.json()["detail"]
        np.testing.assert_array_equal(kept(disk), before)
        assert server.numbers("image=study", {"foreground": [[8, 6, 12]], "background": []})["voxels"] > 0
        assert "labels cannot be saved: the studies folder is read-only" in health(server)["reasons"]
        for task, what in (("train/seganypet", "a run and its weights"), ("scoring/uncertainty", "scores")):
            refused = requests.post(f"{server.url}/{task}", json={}, timeout=60)
            assert refused.status_code == 400, refused.text
            assert f"read-only: {what} cannot be kept there" in refused.json()["detail"]
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    answer, after = save(server, 5)
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(kept(disk), after)


def health(server: Server) -> dict:
    return requests.get(f"{server.url}/health", timeout=30).json()
