"""Processes that MONAI Label starts for training and scoring: only for tasks that there are and that can be done.

MONAI Label 0.8.5 forgets a task whose process cannot be started, which then counts as about to start for as long as the
server runs, and lets those that wait go on when tasks are stopped.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks import utils
from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import tasks

from lib.learning.train_task import WEIGHTS_IN_FORCE
from lib.store.bad_request import BadRequest

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_starting: set[str] = set()  # tasks that count as submitted until their process is there
_KEYS = {"train": "model", "scoring": "method", "batch_infer": "model"}


def look_after_tasks() -> None:
    """Let MONAI Label check a request before it starts a process that loads the app only to fail, and keep its account.

    The process is told which weights are in force here when its turn comes, and a client cannot tell it otherwise. One
    that cannot be started is a task that failed. Tasks that wait for their turn are stopped with the one that runs.
    """
    if hasattr(AsyncTask.run, "__wrapped__"):
        return
    AsyncTask.run = staticmethod(_checked(AsyncTask.run))  # type: ignore[method-assign]
    AsyncTask.stop = staticmethod(_stopping_all(AsyncTask.stop))  # type: ignore[method-assign]
    utils._task_func = _accounted_for(utils._task_func)


def _checked(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def checked(method: str, request: Any = None, params: Any = None, **more: Any) -> Any:
        app, key = app_instance(), _KEYS[method]
        known = {"train": app._trainers, "scoring": app._scoring_methods, "batch_infer": app._infers}[method]
        asked = {str(said[key]) for said in (request, params) if said and key in said}
        if len(asked) != 1 or not asked <= set(known):
            detail = f"there is no {method} task {', '.join(map(repr, asked))}; there is {', '.join(known) or 'none'}"
            raise MONAILabelException(MONAILabelError.INVALID_INPUT, detail)
        if method != "batch_infer":
            weights = app.weights.take_up() if more.get("force_sync") else app.weights.path
            params = {**(params or {}), WEIGHTS_IN_FORCE: str(weights)}
            said = {**(request or {}), **params}
            if not isinstance(said.get("gpus") or "", str):
                raise BadRequest(f'gpus must be text, "all" or numbers as "0,1", got {said["gpus"]!r}'[:300])
            known[asked.pop()].check(said)
        if not more.get("enqueue") and any(task["status"] == "SUBMITTED" for task in tasks(method)):
            return None, f"a {method} task is about to start"  # MONAI Label sees those only whose process runs
        return run(method, request=request, params=params, **more)

    return checked


def _accounted_for(start: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(start)
    def accounted_for(task: dict[str, Any], method: str, callback: Callable[..., None] | None = None) -> None:
        try:
            if method != "batch_infer":  # the training before this one may have published since it was asked for
                task["request"][WEIGHTS_IN_FORCE] = str(app_instance().weights.take_up())
            with _lock:
                if task["status"] != "SUBMITTED":  # stopped while it waited
                    return
                _starting.add(task["id"])
            start(task, method, callback)
        except Exception as error:  # of a thread that nobody asks how it ended
            logger.exception("the %s task ended", method)
            utils.processes(method).pop(task["id"], None)
            _end(task, "ERROR")
            task["details"] = [*task.get("details", ()), f"{type(error).__name__}: {error}"]
        finally:
            _starting.discard(task["id"])

    return accounted_for


def _stopping_all(stop: Callable[[str], Any]) -> Callable[[str], Any]:
    @functools.wraps(stop)
    def stopping_all(method: str) -> Any:
        with _lock:
            submitted = [task for task in tasks(method) if task["status"] == "SUBMITTED"]
            waiting = [task for task in submitted if task["id"] not in _starting]
            for task in waiting:
                _end(task, "STOPPED")
        while any(task["status"] == "SUBMITTED" for task in submitted):  # a moment: its process is being made
            time.sleep(0.02)
        return stop(method) or (waiting[-1] if waiting else None)

    return stopping_all


def _end(task: dict[str, Any], status: str) -> None:
    task["status"], task["end_ts"] = status, datetime.today().strftime("%Y-%m-%d %H:%M:%S")
