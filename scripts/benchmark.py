"""Measures how fast the project is on this machine.

    python scripts/benchmark.py encoder
    python scripts/benchmark.py encoder --network compact --json encoder.json
    python scripts/benchmark.py click --networks compact --json click.json
    python scripts/benchmark.py click --networks compact --compare click.json
    python scripts/benchmark.py targets --json targets.json
    python scripts/benchmark.py server --json server.json
    python scripts/benchmark.py protocols
    python scripts/benchmark.py page --json page.json
    python scripts/benchmark.py training --json training.json

Each command prints its cases' median with quartiles; --json writes them, with the machine, and --compare sets a run
beside such a file.
"""

import sys
from pathlib import Path

from command import run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from benchmarks.click import click
from benchmarks.encoder import encoder
from benchmarks.page import page
from benchmarks.protocols import protocols
from benchmarks.server import server
from benchmarks.targets import targets
from benchmarks.training import training

COMMANDS = {
    "encoder": encoder,
    "click": click,
    "server": server,
    "page": page,
    "protocols": protocols,
    "targets": targets,
    "training": training,
}

if __name__ == "__main__":
    run(COMMANDS)
