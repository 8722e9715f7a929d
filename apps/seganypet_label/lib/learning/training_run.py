"""One run of the bundle's training, in a process of its own that ends with the one that started it."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

LOG = "run.log"
REPORT = "report.json"  # what seganypet.training.RunReport writes
NICENESS = 10  # clicks go first
BAR_EVERY_S = 5.0  # a progress bar is drawn many times a second
LAST_LINES = 12
ERROR = re.compile(r"[\w.]*(Error|Exception): ")  # MONAI raises errors of its own on top of what went wrong


class TrainingFailedError(Exception):
    """A run ended with an error; the message holds its errors and the end of its log."""


def run_training(bundle: Path, folder: Path, overlay: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Run train.json with an overlay; returns its report.

    Args:
        bundle: the bundle's folder.
        folder: of the run; gets overlay.json, run.log and what the run writes.
        overlay: what the run changes in train.json; files and folders are Paths, which the run reads as they are.
        say: told each line of the run, of progress bars one in a while.

    Raises:
        TrainingFailedError: it did not end well.
    """
    settings = folder / "overlay.json"
    settings.write_text(json.dumps({**overlay, "run_dir": folder}, indent=1, default=_as_it_is))
    configs = [str(bundle / "configs" / "train.json"), str(settings)]
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", str(configs)]
    last: deque[str] = deque(maxlen=LAST_LINES)
    errors: deque[str] = deque(maxlen=3)
    drawn = 0.0
    with (folder / LOG).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            cwd=bundle,
            # a thread that spins while it waits takes the core that a click needs: 20 times slower beside a busy one
            env={"OMP_WAIT_POLICY": "passive", **os.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=_in_the_child() if os.name == "posix" else None,
        )
        try:
            assert process.stdout is not None
            for line in map(str.rstrip, process.stdout):  # a bar's carriage return ends a line too
                bar = "it/s]" in line or "s/it]" in line or "%|" in line
                if not line or (bar and time.monotonic() - drawn < BAR_EVERY_S):
                    continue
                drawn = time.monotonic() if bar else drawn
                if len(last) == LAST_LINES and ERROR.match(last[0]):
                    errors.append(last[0])
                last.append(line)
                log.write(line + "\n")
                log.flush()
                say(line)
            code = process.wait()
        finally:
            process.kill()
            process.wait()
    if code != 0:
        end = "\n".join([*errors, *last])
        raise TrainingFailedError(f"training ended with exit code {code}; the end of {folder / LOG}:\n{end}")
    report: dict[str, Any] = json.loads((folder / REPORT).read_text())
    return report


def _as_it_is(path: Path) -> str:
    """A path for a MONAI config, which takes "#" in a text for "::" and in an expression "@" for another item."""
    return "$" + repr(str(path)).replace("#", r"\x23").replace("@", r"\x40")


def _in_the_child() -> Callable[[], None]:
    """What a run does before it begins: be nice, and on Linux end when its parent does, however that ends."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    parent, pr_set_pdeathsig = os.getpid(), 1

    def prepare() -> None:
        os.nice(NICENESS)
        if libc is not None:
            libc.prctl(pr_set_pdeathsig, signal.SIGKILL)
            if os.getppid() != parent:  # it has ended already
                os._exit(1)

    return prepare
