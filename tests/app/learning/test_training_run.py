"""A run of the bundle that fails is told with the end of its log, and ends with the one that started it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import psutil
import pytest
from lib.learning.training_run import NICENESS, TrainingFailedError, run_training
from running_server import APP

STARTED = """
import sys
sys.path.insert(0, {app!r})
from pathlib import Path
from lib.learning.training_run import run_training
print("ready", flush=True)
run_training(Path({bundle!r}), Path({folder!r}), {{}}, lambda line: None)
"""
SAYS = {
    "imports": ["$import json"],
    "said": "$dict(run_dir=@run_dir, weights=@weights, data_lists=@data_lists)",
    "training": ["$json.dump(@said, open(@run_dir + '/report.json', 'w'))"],
}
STAYS = '{"imports": ["$import time"], "training": ["$time.sleep(600)"]}'


@pytest.mark.slow
def test_a_failed_run(repo, tmp_path):
    said: list[str] = []
    with pytest.raises(TrainingFailedError, match=r"exit code 1; the end of .*run.log:\n(.|\n)*nowhere.json") as failed:
        run_training(repo / "bundle", tmp_path, {"data_lists": ["nowhere.json"]}, said.append)
    assert said[-1] == (tmp_path / "run.log").read_text().splitlines()[-1] == str(failed.value).splitlines()[-1]


@pytest.mark.slow
def test_paths_reach_a_run_as_they_are(tmp_path):
    folder = tmp_path / "PET #2 of ann@clinic's"
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "train.json").write_text(json.dumps(SAYS))
    overlay = {"weights": folder / "model.pt", "data_lists": [folder / "list.json"]}
    assert run_training(folder, folder, overlay, print) == {
        "run_dir": str(folder),
        "weights": str(folder / "model.pt"),
        "data_lists": [str(folder / "list.json")],
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a process ends with its parent on Linux only")
def test_a_run_is_nice_and_does_not_outlive_who_started_it(repo, tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.json").write_text(STAYS)
    folder = tmp_path / "run"
    folder.mkdir()
    code = STARTED.format(app=str(APP), bundle=str(tmp_path), folder=str(folder))
    environment = {**os.environ, "PYTHONPATH": str(repo / "bundle")}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        end = time.monotonic() + 60
        while not (children := psutil.Process(parent.pid).children()):
            assert time.monotonic() < end
            time.sleep(0.1)
        (child,) = children
        while child.nice() != psutil.Process(parent.pid).nice() + NICENESS:  # it is a copy of its parent at first
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        parent.kill()
        parent.wait()
    child.wait(timeout=20)
