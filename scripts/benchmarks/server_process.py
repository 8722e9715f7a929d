"""MONAI Label servers to measure: started as a user starts them, on loopback, ended by their process id."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo_server import server_process


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
    with server_process(app, studies, log, conf, os.environ) as (url, pid):
        yield ServerProcess(url, pid)
