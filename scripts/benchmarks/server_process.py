"""MONAI Label servers to measure: started as a user starts them, on loopback, ended by their process id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo_server import wait_until_up


@dataclass(frozen=True)
class ServerProcess:
    """A server that answers.

    Args:
        url: without a slash at its end.
        pid: of its process.
    """

    url: str
    pid: int

    def peak_mib(self) -> float | None:
        """The most memory it has held, in MiB; None where the system does not tell."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)


@contextmanager
def serving(app: Path, studies: Path, log: Path, conf: Mapping[str, object]) -> Iterator[ServerProcess]:
    """`monailabel start_server` for as long as a `with` block lasts.

    Args:
        app: the app's folder.
        studies: its studies folder.
        log: file for what it prints.
        conf: `--conf` keys and values.

    Raises:
        RuntimeError: it ended or did not answer; the message has the end of its log.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    for key, value in conf.items():
        command += ["--conf", key, str(value)]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(process, url, log)
        yield ServerProcess(url, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
