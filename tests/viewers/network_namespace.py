"""A network namespace of the tests' own, because Orthanc cannot be told to listen on this machine only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
OWN = Path("/proc/thread-self/ns/net")


class NetworkNamespace:
    """A namespace whose only interface is loopback; a thread enters it, what it starts meanwhile stays inside.

    Args:
        pid: of the process that keeps the namespace; None where the tests run in such a namespace already.
    """

    def __init__(self, pid: int | None) -> None:
        self._pid = pid

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move the calling thread into the namespace, and back afterwards."""
        if self._pid is None:
            yield
            return
        before = os.open(OWN, os.O_RDONLY)
        inside = os.open(f"/proc/{self._pid}/ns/net", os.O_RDONLY)
        try:
            _setns(inside)
            try:
                yield
            finally:
                _setns(before)
        finally:
            os.close(inside)
            os.close(before)

    @contextlib.contextmanager
    def holding(self, context: AbstractContextManager[T]) -> Iterator[T]:
        """What a context gives; it is entered and left inside, and the block itself runs where the thread was.

        A fixture that outlives a test must not keep the thread inside: another room's test would not find its server.
        """
        with contextlib.ExitStack() as stack:
            with self.entered():
                made = stack.enter_context(context)
            try:
                yield made
            finally:
                with self.entered():
                    stack.close()


@contextlib.contextmanager
def network_namespace() -> Iterator[NetworkNamespace]:
    """A namespace that ends with the block; the test is skipped, with the reason, where none can be made."""
    for program, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install {package}")
    if set(psutil.net_if_addrs()) <= {"lo"}:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
        yield NetworkNamespace(None)
        return
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stderr is not None
    try:
        if holder.stdout.readline().strip() != "up":
            holder.wait(timeout=10)
            pytest.skip(
                f"no network namespace ({holder.stderr.read().strip()}): run as root, or all of it in one: "
                "unshare --map-root-user --net .venv/bin/pytest tests/viewers"
            )
        yield NetworkNamespace(holder.pid)
    finally:
        holder.terminate()
        holder.wait()


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def wait_until(ready, process: subprocess.Popen, log: Path, *, seconds: float = 60) -> None:
    """Wait for a server that this test started; what it printed is the message where it ends or takes too long."""
    end = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
