"""The benchmark's figures and its command."""

import json
import subprocess
import sys

import pytest
import torch


def test_timing_summarises_rounds_and_leaves_the_first_out(repo, monkeypatch):
    monkeypatch.syspath_prepend(str(repo / "scripts"))
    from benchmarks import timing

    clock = iter(range(1000))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(clock)) ** 2)  # later runs last longer
    runs = []
    timings = timing.time_side_by_side(
        {"a": lambda: runs.append("a"), "b": lambda: runs.append("b")},
        rounds=2,
        device=torch.device("cpu"),
        repeats={"a": 2},
    )
    assert runs == ["a", "a", "b"] * 3
    # Run number n lasts (2n + 1)² − (2n)² = 4n + 1; a's counted runs are 3, 4, 6 and 7, b's 5 and 8.
    assert timings["a"] == timing.Timing(median=21.0, lower=16.0, upper=26.0, runs=4)
    assert timings["b"] == timing.Timing(median=27.0, lower=24.0, upper=30.0, runs=2)


@pytest.mark.slow
def test_command_writes_its_figures(repo, tmp_path):
    output = tmp_path / "encoder.json"
    command = [sys.executable, "scripts/benchmark.py", "encoder", "--network", "compact", "--rounds", "1"]
    done = subprocess.run([*command, "--json", str(output)], cwd=repo, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    figures = json.loads(output.read_text())
    assert figures["network"] == "compact"
    assert figures["seconds"]["encode, float32"]["median"] > 0
    assert "encode, float32" in done.stdout
