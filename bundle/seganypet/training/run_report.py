"""What a run came to, for whoever started it as a process of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from seganypet.training.validation import DiceAtClicks
from seganypet.whole_file import whole_file

START = 1  # an evaluator's epochs count from 1


class RunReport:
    """Writes `report.json` when a run starts and after every epoch; replaced in one step.

    It says `epoch`, `epochs`, and of the key metric of validation `start` (None where it was not asked for), `best` and
    `best_epoch` (0 while nothing is better than the start), and of each target `start_of_each` and `best_of_each`, in
    one order. To be attached after validation and `RunCheckpoint`.

    Args:
        path: the file.
        validator: the evaluator whose key metric decides which weights are best.
        metric: that key metric.
        validate_start: validate what the run starts from too: later weights count as best, and are published, only
            where they are better than that.
        writes: whether this process writes; one of them does, all of them validate.
    """

    def __init__(
        self,
        path: str | Path,
        validator: Engine,
        metric: DiceAtClicks,
        *,
        validate_start: bool = False,
        writes: bool = True,
    ) -> None:
        self.path = Path(path)
        self.validator: Any = validator
        self.metric = metric
        self.validate_start = validate_start
        self.writes = writes
        self._start: float | None = None
        self._start_of_each: list[float] = []
        self._best_of_each: list[float] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)

    def begin(self, engine: Engine) -> None:
        """Validates before the first epoch where that is asked for; a resumed run has done so."""
        if engine.state.epoch > 0 and self.path.is_file():
            before = json.loads(self.path.read_text())["validation"]
            self._start = before["start"]
            self._start_of_each = before.get("start_of_each", [])  # a run of before 0.4.3 has none
            self._best_of_each = before.get("best_of_each", [])
        elif self.validate_start:
            self.validator.run(START)
            self._start = float(self.validator.state.best_metric)
            self._start_of_each = list(self.metric.each)
            self.validator.state.best_metric_epoch = 0
        self.write(engine)

    def write(self, engine: Engine) -> None:
        """Replaces the report by one of now."""
        if not self.writes:
            return
        state = self.validator.state
        if state.best_metric_epoch == engine.state.epoch and self.metric.each:  # epoch 0: the start is the best so far
            self._best_of_each = list(self.metric.each)
        validated = state.best_metric_epoch > 0 or self._start is not None
        content = {
            "epoch": engine.state.epoch,
            "epochs": engine.state.max_epochs,
            "validation": {
                "start": self._start,
                "best": float(state.best_metric) if validated else None,
                "best_epoch": max(0, state.best_metric_epoch),
                "start_of_each": self._start_of_each,
                "best_of_each": self._best_of_each,
            },
        }
        with whole_file(self.path) as draft:
            draft.write_text(json.dumps(content, indent=1))
