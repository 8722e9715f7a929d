"""Timing several cases side by side, and telling what they ran on."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of one case: median and quartiles over its runs."""

    median: float
    lower: float
    upper: float
    runs: int

    def __str__(self) -> str:
        return f"{1e3 * self.median:10.1f} ms   ({1e3 * self.lower:.1f} to {1e3 * self.upper:.1f}, {self.runs} runs)"


def time_side_by_side(
    cases: dict[str, Callable[[], object]], *, rounds: int, device: torch.device, repeats: dict[str, int] | None = None
) -> dict[str, Timing]:
    """Times every case in every round, so that a disturbance of the machine meets all of them.

    Args:
        cases: what to run, by name.
        rounds: rounds, after one that is not counted.
        device: waited for after each run where it is a GPU.
        repeats: runs of a case within a round; 1 where it names none.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, case in cases.items():
            for _ in range((repeats or {}).get(name, 1)):
                start = time.perf_counter()
                case()
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                elapsed = time.perf_counter() - start
                if number:
                    seconds[name].append(elapsed)
    return {name: summary(values) for name, values in seconds.items()}


def summary(seconds: list[float]) -> Timing:
    """Median and quartiles."""
    lower, median, upper = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else seconds * 3
    return Timing(median, lower, upper, len(seconds))


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on, and how busy it was."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = f"{models[0]}, {len(models)} logical cores" if models else name
    return {
        "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else name,
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
