"""A clock that jumps back a day and then on by a year: saved labels stay, saves and clicks go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
from running_server import Server, save_everything_network, start_server

SHAPE = (40, 40, 40)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
JUMPS = ("-1d", "+365d", "+0")


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        pytest.skip("Debian's libfaketime is not installed: no clock can be made to jump")
    studies = tmp_path / "studies"
    studies.mkdir()
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE), studies / "study.nii.gz")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    env = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # a clock that is set does not move this one
        "NO_FAKE_STAT": "1",
    }
    weights = save_everything_network(tmp_path / "everything.pt")
    conf = ["--conf", "weights", str(weights), "--conf", "encode_ahead_s", "0"]
    yield from start_server(tmp_path / "server", studies, *conf, env=env)


def save(server: Server, seed: int) -> np.ndarray:
    voxels = (np.random.default_rng(seed).random(SHAPE) > 0.5).astype(np.uint8)
    answer = server.save("study", voxels, AFFINE)
    assert answer.status_code == 200, answer.text
    return voxels


def saved_at(server: Server) -> float:
    index = requests.get(f"{server.url}/datastore/?output=all", timeout=60).json()
    return index["objects"]["study"]["labels"]["final"]["info"]["ts"]


def test_nothing_is_lost_when_the_clock_jumps(server, tmp_path):
    label = tmp_path / "studies" / "labels" / "final" / "study.nii.gz"
    written = [save(server, 0)]
    times = [saved_at(server)]
    for number, jump in enumerate(JUMPS, start=1):
        (tmp_path / "clock").write_text(jump)
        clicked = server.numbers("image=study", {"foreground": [[8, 6, 12]], "background": []})
        assert clicked["voxels"] > 0
        written.append(save(server, number))
        times.append(saved_at(server))
        np.testing.assert_array_equal(np.asarray(nib.load(label).dataobj), written[-1])
        assert requests.get(f"{server.url}/health", timeout=30).status_code == 200
    assert times[1] < times[0] < times[2]  # the server did see its clock jump
    kept = [np.asarray(nib.load(file).dataobj) for file in (tmp_path / "studies").rglob("replaced/**/*.nii.gz")]
    for voxels in written[:-1]:
        assert any(np.array_equal(voxels, other) for other in kept)
