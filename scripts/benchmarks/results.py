"""A run's figures: printed, written as JSON, and set beside those of an earlier run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.timing import Timing
from benchmarks.work import MATMUL


def write_json(path: str | Path, facts: Mapping[str, Any], timings: Mapping[str, Timing]) -> None:
    """Writes the figures of a run.

    Args:
        facts: what was measured, and on what.
        timings: seconds by case.
    """
    seconds = {name: asdict(timing) for name, timing in timings.items()}
    Path(path).write_text(json.dumps({**facts, "seconds": seconds}, indent=2) + "\n")


def comparison(path: str | Path, facts: Mapping[str, Any], timings: Mapping[str, Timing]) -> list[str]:
    """One line per case that an earlier run has too: both medians, their ratio, and whether the quartiles overlap.

    Where both runs timed the matrix product, the ratio is of times counted in matrix products: what the machine was
    slower or faster in as a whole falls out.

    Args:
        path: what `write_json` wrote.
        facts: this run's, to tell where the machines differ.
        timings: this run's.

    Raises:
        ValueError: the earlier run is of another benchmark.
    """
    earlier = json.loads(Path(path).read_text())
    if earlier.get("benchmark") != facts["benchmark"]:
        raise ValueError(f"{path} holds a run of {earlier.get('benchmark')!r}, not of {facts['benchmark']!r}")
    lines = [
        f"{key} then {earlier['machine'].get(key)}, now {value}: "
        + ("only ratios within a run compare" if key == "processor" else "compare with care")
        for key, value in facts["machine"].items()
        if key != "load_average" and earlier["machine"].get(key) != value
    ]
    past = {name: Timing(**values) for name, values in earlier["seconds"].items() if name in timings}
    machine = timings[MATMUL].median / past[MATMUL].median if MATMUL in past else 1.0
    lines.append("case, then → now, ratio" + (" in matrix products" if MATMUL in past else ""))
    for name, then in past.items():
        now = timings[name]
        apart = now.lower > machine * then.upper or now.upper < machine * then.lower
        lines.append(
            f"{name:44} {1e3 * then.median:8.1f} → {1e3 * now.median:8.1f} ms"
            f"   {now.median / then.median / (1 if name == MATMUL else machine):5.2f}"
            + ("" if apart or name == MATMUL else "   within the spread")
        )
    return lines


def report_lines(
    timings: Mapping[str, Timing], gigaflop: Mapping[str, float], share_of_matmul_peak: Mapping[str, float]
) -> Iterable[str]:
    """One line per case; work and rate where they are known."""
    for name, timing in timings.items():
        line = f"{name:44} {timing}"
        if name in share_of_matmul_peak:
            share = share_of_matmul_peak[name]
            line += f"   {gigaflop[name]:.1f} GFLOP, {share:.0%} of the matrix product's rate"
        yield line


def machine_line(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts["machine"].items())
