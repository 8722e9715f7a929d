"""Kill -9 of a server that trains or scores: labels and weights stay, and the next start goes on."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import requests as http
from demo_server import server_process
from reliability.killed_saves import put_label
from tqdm import tqdm

REPO = Path(__file__).resolve().parents[2]
APP = REPO / "apps" / "seganypet_label"
sys.path[:0] = [str(REPO / "bundle"), str(APP)]

from lib.learning.trained_weights import trained_file  # noqa: E402
from lib.store.kept_files import PRIVATE  # noqa: E402

from seganypet.networks import load_network  # noqa: E402
from seganypet.whole_file import is_abandoned  # noqa: E402

SHAPE, NODE = (40, 40, 40), (20, 20, 20)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
STUDIES = 4
WAIT_S = 60.0
LONGEST_S = 600.0


@dataclass(frozen=True)
class Task:
    """A task that a server does in a process of its own.

    Args:
        route: that it is asked for on.
        settings: sent with the request.
        look: the studies folder → what is wrong with what the task leaves there, "" if nothing.
    """

    route: str
    settings: Mapping[str, Any]
    look: Callable[[Path], str]

    def begin(self, url: str) -> None:
        http.post(f"{url}{self.route}", json=dict(self.settings), timeout=WAIT_S).raise_for_status()

    def runs(self, url: str) -> bool:
        """Whether it was asked for and has not ended."""
        answer = http.get(f"{url}/{self.route.split('/')[1]}/", timeout=WAIT_S)
        return answer.status_code == 200 and answer.json().get("status") in ("SUBMITTED", "RUNNING")

    def take(self, url: str) -> float:
        """Seconds that it takes when nobody kills it."""
        begun = time.monotonic()
        self.begin(url)
        while self.runs(url):
            if time.monotonic() - begun > LONGEST_S:
                sys.exit(f"{self.route} did not end within {LONGEST_S:.0f} s")
            time.sleep(0.2)
        return time.monotonic() - begun


def kill_trainings(count: int, seed: int) -> None:
    """Kill a server while it trains, start it again and look, `count` times."""
    settings = {"max_epochs": 1, "windows": 8, "val_split": 0.3, "margin": 0.0}
    _kill(Task("/train/seganypet", settings, _look_at_training), "training", count, seed)


def kill_scorings(count: int, seed: int) -> None:
    """Kill a server while it scores, start it again and look, `count` times."""
    _kill(Task("/scoring/uncertainty", {"seconds_per_study": 1}, _look_at_scores), "scoring", count, seed)


def _kill(task: Task, name: str, count: int, seed: int) -> None:
    rng, within = np.random.default_rng(seed), 0
    with tempfile.TemporaryDirectory(prefix="seganypet-kills-") as temporary:
        folder, studies = Path(temporary), Path(temporary, "studies")
        studies.mkdir()
        environment = {"OMP_WAIT_POLICY": "passive", **os.environ, "HOME": temporary}
        for study in range(STUDIES):
            suv = rng.normal(1, 0.05, SHAPE) + 7 * _node(study)
            nib.save(nib.Nifti1Image(suv.astype(np.float32), AFFINE), studies / f"{study}.nii.gz")
        seconds = 0.0
        for number in tqdm(range(count + 1), unit="kill"):
            log = folder / f"{number}.log"
            with server_process(APP, studies, log, {"encode_ahead_s": 0}, environment) as (url, pid):
                if number == 0:
                    for study in range(STUDIES - 1):
                        _save(url, study)
                    seconds = task.take(url)
                problem = _look(url, studies) or task.look(studies)
                if problem:
                    sys.exit(f"seed {seed}, kill {number}: {problem}")
                if number == count:
                    task.take(url)
                    break
                for file in (studies / PRIVATE / "scores").glob("*.json"):
                    file.unlink()  # so that there is something to score again
                task.begin(url)
                time.sleep(float(rng.uniform(0, seconds)))
                within += task.runs(url)
                if rng.random() < 0.5:  # the server alone, whose task may go on, or all of it, as when the power fails
                    os.kill(pid, signal.SIGKILL)
                else:
                    os.killpg(pid, signal.SIGKILL)
    print(f"seed {seed}: {count} kills, {within} of them while a {name} was under way")
    print("labels and weights stayed, nothing half written was left, and the next start went on")


def _node(study: int) -> np.ndarray:
    places = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)
    return ((places - NODE) ** 2).sum(-1) <= (3 + study) ** 2


def _save(url: str, study: int) -> None:
    content = nib.Nifti1Image(_node(study).astype(np.uint8), AFFINE).to_bytes()
    put_label(url, str(study), "lesion", content).raise_for_status()


def _look(url: str, studies: Path) -> str:
    """What is wrong with labels and weights after a start, "" if nothing."""
    drafts = [str(file) for file in studies.rglob("*.partial") if is_abandoned(file)]
    if drafts:
        return f"left half written: {', '.join(drafts)}"
    for study in range(STUDIES - 1):
        answer = http.get(f"{url}/datastore/label", params={"label": str(study), "tag": "final"}, timeout=WAIT_S)
        if answer.status_code != 200:
            return f"a saved label is gone: {answer.status_code} {answer.text[:200]}"
    params = {"foreground": [list(NODE)], "background": [], "label": "lesion"}
    answer = http.post(
        f"{url}/infer/seganypet",
        params={"image": "3", "output": "json"},
        data={"params": json.dumps(params)},
        timeout=WAIT_S,
    )
    return "" if answer.status_code == 200 else f"no click is answered: {answer.status_code} {answer.text[:200]}"


def _look_at_training(studies: Path) -> str:
    file = trained_file(studies)
    if file.is_file():
        load_network(file)
    for result in (studies / PRIVATE / "runs").glob("*/result.json"):
        json.loads(result.read_text())
    return ""


def _look_at_scores(studies: Path) -> str:
    for file in (studies / PRIVATE / "scores").glob("*.json"):
        json.loads(file.read_text())
    return ""
