"""Tasks that wait for their turn, that are stopped before it comes, and whose process cannot be started."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lib.learning import task_processes
from lib.learning.task_processes import _accounted_for, _stopping_all
from lib.learning.train_task import WEIGHTS_IN_FORCE
from monailabel.utils.async_tasks import utils


@pytest.fixture
def weights(monkeypatch) -> SimpleNamespace:
    """Of a server; a test says what is in force."""
    weights = SimpleNamespace(file=Path("start.pt"))
    weights.take_up = lambda: weights.file
    monkeypatch.setattr(task_processes, "app_instance", lambda: SimpleNamespace(weights=weights))
    monkeypatch.setattr(utils, "background_tasks", {"train": []})
    monkeypatch.setattr(utils, "background_processes", {"train": {}})
    return weights


def submit(**request: Any) -> dict[str, Any]:
    """A task as MONAI Label notes one that is asked for."""
    number = str(len(utils.tasks("train")))
    task = {"id": number, "status": "SUBMITTED", "request": {WEIGHTS_IN_FORCE: "start.pt", **request}}
    utils.background_tasks["train"].append(task)
    return task


def test_one_that_cannot_be_started_has_failed_and_says_why(weights):
    def start(task: dict[str, Any], *_: Any) -> None:
        raise OSError(7, "Argument list too long")

    task = submit(client_id="x" * 200_000)
    _accounted_for(start)(task, "train")
    assert (task["status"], task["details"]) == ("ERROR", ["OSError: [Errno 7] Argument list too long"])
    assert task["end_ts"]


def test_one_that_waited_goes_on_from_what_was_published_meanwhile(weights):
    began: list[str] = []
    task = submit()
    weights.file = Path("published.pt")
    _accounted_for(lambda task, *_: began.append(task["request"][WEIGHTS_IN_FORCE]))(task, "train")
    assert began == ["published.pt"]


def test_those_that_wait_are_stopped_with_the_one_that_runs(weights):
    began: list[str] = []
    running, waiting = submit(), submit()
    running["status"] = "RUNNING"
    assert _stopping_all(lambda _: running)("train") is running
    assert waiting["status"] == "STOPPED"
    _accounted_for(lambda task, *_: began.append(task["id"]))(waiting, "train")
    assert began == []


def test_the_only_one_is_stopped_before_its_process_is_there(weights):
    task = submit()
    assert _stopping_all(lambda _: None)("train") is task
    assert task["status"] == "STOPPED"
    assert _stopping_all(lambda _: None)("train") is None


def test_one_whose_process_is_being_made_is_stopped_once_it_is_there(weights):
    task, asked, made = submit(), threading.Event(), threading.Event()

    def start(task: dict[str, Any], *_: Any) -> None:
        asked.set()
        assert made.wait(60)
        task["status"] = "RUNNING"

    stopping = _stopping_all(lambda _: task["status"])
    with ThreadPoolExecutor(2) as threads:
        threads.submit(_accounted_for(start), task, "train")
        assert asked.wait(60)
        said = threads.submit(stopping, "train")
        made.set()
        assert said.result(60) == "RUNNING"  # what MONAI Label stops is there
