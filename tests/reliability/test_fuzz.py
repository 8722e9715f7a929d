"""The fuzzes at their small size; `scripts/fuzz.py` has the large ones."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("command", "holds"),
    [
        (["server", "--requests", "500"], "500 requests, no 5xx, none over 30 s, every click right"),
        (["readers", "--files", "300"], "300 damaged files: "),
    ],
)
def test_nothing_random_makes_it_stumble(repo, command, holds):
    done = subprocess.run(
        [sys.executable, "scripts/fuzz.py", *command, "--seed", "0"],
        cwd=repo,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert holds in done.stdout
    assert "seed 0" in done.stdout
