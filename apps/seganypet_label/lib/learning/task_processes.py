"""Processes that MONAI Label starts for training and scoring: only for tasks that there are and that can be done."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import tasks

from lib.learning.train_task import WEIGHTS_IN_FORCE

_KEYS = {"train": "model", "scoring": "method", "batch_infer": "model"}


def refuse_unknown_tasks() -> None:
    """Let MONAI Label check a request before it starts a process that loads the app only to fail.

    The process is told which weights are in force here, and a client cannot tell it otherwise.
    """
    run: Callable[..., Any] = AsyncTask.run
    if hasattr(run, "__wrapped__"):
        return

    @functools.wraps(run)
    def checked(method: str, request: Any = None, params: Any = None, **more: Any) -> Any:
        app, key = app_instance(), _KEYS[method]
        known = {"train": app._trainers, "scoring": app._scoring_methods, "batch_infer": app._infers}[method]
        asked = {str(said[key]) for said in (request, params) if said and key in said}
        if len(asked) != 1 or not asked <= set(known):
            detail = f"there is no {method} task {', '.join(map(repr, asked))}; there is {', '.join(known) or 'none'}"
            raise MONAILabelException(MONAILabelError.INVALID_INPUT, detail)
        if method != "batch_infer":
            params = {**(params or {}), WEIGHTS_IN_FORCE: str(app.weights.path)}
            known[asked.pop()].check({**(request or {}), **params})
        if not more.get("enqueue") and any(task["status"] == "SUBMITTED" for task in tasks(method)):
            return None, f"a {method} task is about to start"  # MONAI Label sees those only whose process runs
        return run(method, request=request, params=params, **more)

    AsyncTask.run = staticmethod(checked)  # type: ignore[method-assign]
