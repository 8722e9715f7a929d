"""Measures how fast the project is on this machine.

    python scripts/benchmark.py encoder
    python scripts/benchmark.py encoder --network compact --json encoder.json

Each command prints its cases' median with quartiles; --json writes them, with the machine, for a later run to compare.
"""

import sys
from pathlib import Path

import fire

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from benchmarks.encoder import encoder

COMMANDS = {"encoder": encoder}

if __name__ == "__main__":
    fire.Fire(COMMANDS)
