"""Kill -9 of a process that publishes weights and goes back: what was in force, or what comes, is there and whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from demo_server import server_process
from tqdm import tqdm

REPO = Path(__file__).resolve().parents[2]
APP = REPO / "apps" / "seganypet_label"
sys.path[:0] = [str(REPO / "bundle"), str(APP)]

from lib.learning.trained_weights import go_back, publish, trained_file  # noqa: E402
from lib.store.kept_files import PRIVATE, remove_drafts  # noqa: E402

from seganypet.networks import load_network, save_network  # noqa: E402

EMBEDDED = REPO / "bundle" / "models" / "model.pt"
NONE = "none"


def kill_publishing(count: int, seed: int) -> None:
    """Kill a process between the begin and the end of a change of weights, and look, `count` times."""
    rng, within = np.random.default_rng(seed), 0
    with tempfile.TemporaryDirectory(prefix="seganypet-kills-") as temporary:
        studies, candidates = Path(temporary, "studies"), []
        studies.mkdir()
        for number in range(3):
            network = load_network(EMBEDDED)
            with torch.no_grad():
                next(network.parameters()).add_(number * 1e-3)
            candidates.append(Path(temporary, f"{number}.pt"))
            save_network(network, candidates[-1])
        known = {file.read_bytes(): str(number) for number, file in enumerate(candidates)}
        in_force = NONE
        for number in tqdm(range(count), unit="kill"):
            command = [sys.executable, __file__, str(studies), str(rng.integers(2**31)), *map(str, candidates)]
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(REPO / "scripts")},
            )
            assert process.stdout is not None
            process.stdout.readline()  # it has begun
            time.sleep(float(rng.uniform(0, 0.5)))
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().split()
            process.wait()
            within += bool(said) and said[-1].startswith("to:")
            allowed = _allowed(said, in_force, {NONE, *known.values()})
            in_force, problem = _look(studies, allowed, known)
            if problem:
                sys.exit(f"seed {seed}, kill {number}: {problem}")
        environment = {"OMP_WAIT_POLICY": "passive", **os.environ, "HOME": temporary}
        with server_process(APP, studies, Path(temporary, "log"), {"encode_ahead_s": 0}, environment):
            pass  # it starts with what is in force
    print(f"seed {seed}: {count} kills, {within} of them between the begin of a change of weights and its end")
    print("the weights in force were whole and the right ones each time, and nothing half written was left")


def _allowed(said: list[str], before: str, all_of_them: set[str]) -> set[str]:
    """Which weights may be in force.

    Args:
        said: by the process: "in:2" are in force; "to:2" it began to change that; "to:back" to whatever was before.
        before: what was in force when it began.
        all_of_them: names.
    """
    before = next((word[3:] for word in reversed(said) if word.startswith("in:")), before)
    if not said or said[-1].startswith("in:"):
        return {before}
    return all_of_them if said[-1] == "to:back" else {before, said[-1][3:]}


def _look(studies: Path, allowed: set[str], known: dict[bytes, str]) -> tuple[str, str]:
    """What is in force after a kill, and what is wrong, "" if nothing."""
    remove_drafts(studies)
    drafts = [str(file) for file in studies.rglob("*.partial")]
    if drafts:
        return NONE, f"left half written: {', '.join(drafts)}"
    file = trained_file(studies)
    found = known.get(file.read_bytes(), "broken") if file.is_file() else NONE
    if found not in allowed:
        return found, f"in force is {found}, not {' or '.join(sorted(allowed))}"
    for kept in (studies / PRIVATE).rglob("*_model.pt"):
        if kept.read_bytes() not in known:
            return found, f"{kept} is not whole"
        kept.unlink()
    return found, ""


def _publish_for_ever(studies: Path, seed: int, candidates: list[Path]) -> None:
    known = {file.read_bytes(): str(number) for number, file in enumerate(candidates)}
    rng = np.random.default_rng(seed)
    print("begun", flush=True)
    while True:
        number, file = int(rng.integers(len(candidates))), trained_file(studies)
        back = rng.random() < 0.3 and file.is_file()
        print(f"to:{'back' if back else number}", flush=True)
        if back:
            go_back(studies)
        else:
            publish(candidates[number], studies)
        print(f"in:{known[file.read_bytes()] if file.is_file() else NONE}", flush=True)


if __name__ == "__main__":
    _publish_for_ever(Path(sys.argv[1]), int(sys.argv[2]), [Path(file) for file in sys.argv[3:]])
