"""The stresses at their small size; `scripts/stress.py` has the large ones."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("command", "holds"),
    [
        (["requests", "--count", "500"], "500 requests, no 5xx, none over 30 s, every click right"),
        (["files", "--count", "300"], "300 damaged files: "),
        (["kills", "--count", "6"], "6 kills, "),
        (["kills", "--within", "publish", "--count", "4"], "4 kills, "),
        (["kills", "--within", "scoring", "--count", "1"], "1 kills, "),
        (
            ["soak", "--clicks", "60", "--studies", "6", "--readers", "4"],
            "60 clicks by 4 readers on 6 studies, none failed",
        ),
    ],
)
def test_nothing_random_makes_it_stumble(repo, command, holds):
    done = subprocess.run(
        [sys.executable, "scripts/stress.py", *command, "--seed", "0"],
        cwd=repo,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert holds in done.stdout
    assert "seed 0" in done.stdout
