"""deploy/seganypet.service as systemd would run it: where it may not write, in an environment with nothing in it."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

NOBODY = 65534
AS_OTHERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]  # root without it is denied things
INSTALLED = "/opt/seganypet"


@pytest.fixture
def installed(repo, tmp_path) -> Path:
    """A checkout that is somebody else's, after `make .venv/installed`; the logs and the studies are the server's."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can give a folder to another user, and only setpriv takes root's rights from a server")
    folder = tmp_path / "installed"
    for part in ("apps", "bundle"):
        ignored = shutil.ignore_patterns("bin", "logs", "model", "__pycache__", ".*_cache")
        shutil.copytree(repo / part, folder / part, ignore=ignored)
    dry = subprocess.run(["make", "-n", "-B", ".venv/installed"], cwd=repo, capture_output=True, text=True, check=True)
    (made,) = [line for line in dry.stdout.splitlines() if line.startswith("mkdir -p apps/")]
    subprocess.run(shlex.split(made, comments=True), cwd=folder, check=True)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    os.chown(folder / "apps" / "seganypet_label" / "logs", 0, 0)
    (tmp_path / "studies").mkdir()
    return folder


def test_the_unit_starts(installed, repo, tmp_path):
    unit = (repo / "deploy" / "seganypet.service").read_text()
    said = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {f"{INSTALLED}/.venv/bin": str(Path(sys.executable).parent), "/srv/pet": str(tmp_path / "studies")}
    command, environment = said["ExecStart"].replace("--port 8000", f"--port {port}"), said["Environment"]
    for old, new in places.items():
        command, environment = command.replace(old, new), environment.replace(old, new)
    assert INSTALLED not in command
    home, said_to = f"HOME={tmp_path / 'studies'}", tmp_path / "log"
    with said_to.open("wb") as log:
        process = subprocess.Popen(
            [*AS_OTHERS, "env", "-i", home, *environment.split(), *shlex.split(command)],
            cwd=installed,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + 120
        while True:
            assert process.poll() is None, said_to.read_text()[-2000:]
            try:
                answer = requests.get(f"http://127.0.0.1:{port}/health", timeout=30)
                break
            except requests.ConnectionError:
                assert time.monotonic() < until, said_to.read_text()[-2000:]
                time.sleep(0.5)
        assert answer.json()["status"] == "ready", answer.text
    finally:
        process.terminate()
        process.wait(30)
