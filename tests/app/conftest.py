"""A real server process over a small studies folder, and a network whose answers can be worked out by hand."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
import torch
from monailabel.client import MONAILabelClient
from numpy.typing import NDArray

from seganypet.networks import build_network, save_network
from seganypet.pet import write_pet_dicom_series

REPO = Path(__file__).resolve().parents[2]
APP = REPO / "apps" / "seganypet_label"
sys.path.insert(0, str(APP))

SHAPE = (24, 20, 30)
HOT = (slice(6, 10), slice(4, 8), slice(10, 15))  # 80 voxels of SUV 8 in SUV 1
HOT_CENTRE = [8, 6, 12]
AFFINE = np.array([[-4.0, 0, 0, 50], [0, 4.0, 0, -30], [0, 0, 4.0, -700], [0, 0, 0, 1]])
DICOM_AFFINE = np.array([[-4.0, 0, 0, 50.25], [0, -4.0, 0, 30.1], [0, 0, 4.0, -700.3], [0, 0, 0, 1]])
MODEL = "seganypet"


def hot_block() -> NDArray[np.float32]:
    """SUV 1 everywhere, a block of 4×4×5 voxels of SUV 8; smaller than a window in every direction."""
    suv = np.ones(SHAPE, np.float32)
    suv[HOT] = 8
    return suv


def save_nifti(voxels: NDArray[np.float32], path: Path, affine: NDArray[np.float64] = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def save_everything_network(path: Path, seed: int = 0) -> Path:
    """A compact network that answers any positive click with everything in its window."""
    torch.manual_seed(seed)
    net = build_network("compact")
    with torch.no_grad():
        net.decoder.head.weight.zero_()
        net.decoder.head.bias.fill_(4.0)
    save_network(net, path)
    return path


@dataclass
class Server:
    """A running server.

    Args:
        url: where it listens.
        studies: its studies folder.
        log: what it printed.
    """

    url: str
    studies: Path
    log: Path
    process: subprocess.Popen[bytes]
    client: MONAILabelClient = field(init=False)

    def __post_init__(self) -> None:
        answers = self.log.parent / "answers"
        answers.mkdir(exist_ok=True)
        self.client = MONAILabelClient(self.url, tmpdir=str(answers))

    def click(self, query: str, params: dict | str, *, model: str = MODEL, **files) -> requests.Response:
        """A raw infer request, as the viewers send it."""
        text = params if isinstance(params, str) else json.dumps(params)
        url = f"{self.url}/infer/{model}?{query}"
        return requests.post(url, data={"params": text}, files=files or None, timeout=120)

    def numbers(self, query: str, params: dict) -> dict:
        """The params of an answer that must be 200."""
        answer = self.click(f"{query}&output=json", params)
        assert answer.status_code == 200, answer.text
        return answer.json()


def start_server(folder: Path, studies: Path, *conf: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    """`monailabel start_server` on a free loopback port, with a home of its own, ended with all its children."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "2",
        **(env or {}),
    }
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True)
    log = folder / "server.log"
    command = ["monailabel", "start_server", "--app", str(APP), "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port), *conf]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=folder, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 90
        while True:
            try:
                requests.get(f"{url}/info/", timeout=5)
                break
            except requests.ConnectionError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.2)
        yield Server(url, studies, log, process)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


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
