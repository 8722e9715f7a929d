"""torchrun with two processes on the CPU does what one process does with the same global batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def run(folder: Path, options: str, processes: int) -> None:
    launcher = [] if processes == 1 else ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    path = os.pathsep.join([str(HERE.parents[1] / "bundle"), str(HERE)])
    folder.mkdir()
    finished = subprocess.run(
        [sys.executable, *launcher, HERE / "tiny_run.py", folder, options],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    run(tmp_path / "one", '{"epochs": 2, "batch_size": 4}', 1)
    run(tmp_path / "two", '{"epochs": 2, "batch_size": 2}', 2)
    one = torch.load(tmp_path / "one" / "gradients_0.pt")
    ranks = [torch.load(tmp_path / "two" / f"gradients_{rank}.pt") for rank in (0, 1)]
    assert len(one) == len(ranks[0]) == 4
    for step in range(4):
        for name, gradient in one[step].items():
            assert torch.equal(ranks[0][step][name], ranks[1][step][name]), f"ranks differ in {name}, step {step}"
            torch.testing.assert_close(ranks[0][step][name], gradient, rtol=1e-3, atol=1e-5, msg=f"{name}, step {step}")
    states = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("one", "two")]
    assert states[0]["trainer"] == states[1]["trainer"]
    assert states[0]["best"]["best_metric"] == pytest.approx(states[1]["best"]["best_metric"], abs=1e-3)
    for part in ("network", "average"):
        for name, value in states[0][part].items():
            torch.testing.assert_close(states[1][part][name], value, rtol=1e-3, atol=1e-4)
