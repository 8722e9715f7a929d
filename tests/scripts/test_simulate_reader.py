"""The simulated reader, at its smallest, against the real server: annotate, train, measure, go on where it stopped."""

import csv
import json
import subprocess
import sys

import pytest


def run(repo, folder, *more):
    sizes = {"seeds": 1, "studies": 2, "held_out": 1, "train_every": 2, "windows": 4, "epochs": 1, "region_mm": 120}
    options = [f"--{name}={value}" for name, value in sizes.items()]
    command = [sys.executable, "scripts/simulate_reader.py", "--output", str(folder), *options, *more]
    return subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=500)


@pytest.mark.slow
def test_studies_are_annotated_trained_on_and_measured(repo, tmp_path):
    done = run(repo, tmp_path, "--arms", "uncertainty")
    assert done.returncode == 0, done.stdout + done.stderr
    steps = json.loads((tmp_path / "seed0_uncertainty" / "steps.json").read_text())
    assert [step["studies"] for step in steps] == [0, 2]
    assert 0 < steps[1]["targets"] <= steps[1]["clicks"] <= 10 * steps[1]["targets"]
    assert all(0 < step["dice"] < 1 for step in steps)
    rows = list(csv.DictReader((tmp_path / "steps.csv").open()))
    assert [float(row["dice"]) for row in rows] == [step["dice"] for step in steps]
    assert "| uncertainty | 1 |" in (tmp_path / "summary.md").read_text()
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    # another arm goes on from there: the finished run is not made again
    kept = (tmp_path / "seed0_uncertainty" / "steps.json").stat().st_mtime_ns
    done = run(repo, tmp_path, "--arms", "none")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "seed0_uncertainty" / "steps.json").stat().st_mtime_ns == kept
    assert {row["arm"] for row in csv.DictReader((tmp_path / "steps.csv").open())} == {"uncertainty", "none"}
    done = run(repo, tmp_path, "--arms", "none", "--windows", "5")
    assert "other sizes" in done.stderr
    done = run(repo, tmp_path, "--arms", "guess")
    assert "arms are" in done.stderr
