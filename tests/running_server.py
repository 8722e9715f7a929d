"""A real server process, as a person starts it; for every room whose tests need one."""

from __future__ import annotations

import contextlib
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
import requests
import torch
from monailabel.client import MONAILabelClient

from seganypet.networks import build_network, save_network

REPO = Path(__file__).resolve().parents[1]
APP = REPO / "apps" / "seganypet_label"
MODEL = "seganypet"


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
        studies: its studies folder, or an archive's URL.
        log: what it printed.
    """

    url: str
    studies: Path | str
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

    def save(self, study: str, voxels: np.ndarray, affine: np.ndarray, name: str = "liver") -> requests.Response:
        """Save a final label of one target, as Slicer sends it."""
        return requests.put(
            f"{self.url}/datastore/label",
            params={"image": study, "tag": "final"},
            data={"params": json.dumps({"label_info": [{"name": name, "idx": 1}]})},
            files={"label": ("x.nii", nib.Nifti1Image(voxels, affine).to_bytes())},
            timeout=60,
        )


def start_server(
    folder: Path,
    studies: Path | str,
    *conf: str,
    env: dict[str, str] | None = None,
    under: tuple[str, ...] = (),
) -> Iterator[Server]:
    """`monailabel start_server` on a free loopback port, with a home of its own, ended with all its children.

    Args:
        under: a command that starts the server in its own place, as `setpriv` does.
    """
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
    command = [*under, "monailabel", "start_server", "--app", str(APP), "--studies", str(studies)]
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
            except (requests.ConnectionError, requests.Timeout):  # a busy machine accepts before it answers
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.2)
        yield Server(url, studies, log, process)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
