"""The bundle as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path


def run_bundle(cwd: Path, run_id: str, config_file: str, options: dict, processes: int = 1) -> str:
    """`python -m monai.bundle run`, under torchrun where there are several processes; returns what it printed."""
    launcher = (
        [] if processes == 1 else ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    )
    overrides = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    command = [sys.executable, *launcher, "-m", "monai.bundle", "run", run_id, "--config_file", config_file, *overrides]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    finished = subprocess.run(
        command, cwd=cwd, env={**environment, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=500
    )
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-6000:]
    return finished.stdout + finished.stderr
