"""A MONAI Label server for as long as a `with` block lasts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests
from monailabel.client import MONAILabelClient

START_S = 180


@contextmanager
def running_server(app: Path, studies: Path, log: Path, weights: str | None = None) -> Iterator[MONAILabelClient]:
    """A client of a server that `server_process` runs, with threads that sleep at their barriers.

    Args:
        app: as in `server_process`.
        studies: as in `server_process`.
        log: as in `server_process`.
        weights: other weights than the app's own.
    """
    conf = {"weights": Path(weights).absolute()} if weights else {}
    with server_process(app, studies, log, conf, {"OMP_WAIT_POLICY": "passive", **os.environ}) as (url, _):
        yield MONAILabelClient(url)


@contextmanager
def server_process(
    app: Path, studies: Path, log: Path, conf: Mapping[str, object], environment: Mapping[str, str]
) -> Iterator[tuple[str, int]]:
    """Starts the server as `monailabel start_server` does, on a free loopback port, and ends it by its process id.

    Args:
        app: the MONAI Label app's folder.
        studies: the studies folder.
        log: file that gets what the server prints.
        conf: `--conf` keys and values.
        environment: of the process; this interpreter's programs come first on its PATH.

    Yields:
        The server's URL, without a slash at its end, and its process id.

    Raises:
        RuntimeError: the server ended or did not answer; the message has the end of its log.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    for key, value in conf.items():
        command += ["--conf", key, str(value)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        server = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**environment, "PATH": path}, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(server, url, log)
        yield url, server.pid
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def wait_until_up(server: subprocess.Popen, url: str, log: Path) -> None:
    """Returns once the server answers /info/."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if requests.get(f"{url}/info/", timeout=10).ok:
                return
        except requests.RequestException:
            time.sleep(0.3)
    raise RuntimeError(f"the server did not start; the end of {log}:\n" + "\n".join(log.read_text().splitlines()[-15:]))
