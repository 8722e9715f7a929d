"""What a run shows while it goes on."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from monai.utils.enums import CommonKeys
from torch.utils.tensorboard import SummaryWriter

from seganypet.training.strategies import Strategy

logger = logging.getLogger(__name__)

LONG_RUN_S = 2 * 3600  # what a person should be told of before going away


class LossBar(ProgressBar):
    """Ignite's progress bar with the loss beside it."""

    def attach(self, engine: Engine, *_: Any, **__: Any) -> None:  # type: ignore[override]
        super().attach(engine, output_transform=lambda output: {"loss": float(output[CommonKeys.LOSS].detach())})


class RunEstimate:
    """Says after a run's first iterations how long the whole of it will take, loudly where that is hours.

    Args:
        after: iterations to measure, beside the first, which warms up.
    """

    def __init__(self, after: int = 5) -> None:
        self.after = after
        self._began: tuple[int, float] | None = None

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        self._began = None

    def __call__(self, engine: Engine) -> None:
        done = engine.state.iteration
        if self._began is None:
            self._began = (done, time.perf_counter())
        elif done == self._began[0] + self.after:
            seconds = (time.perf_counter() - self._began[1]) / self.after
            left = int((engine.state.max_epochs or 1) * (engine.state.epoch_length or 1)) - done
            level = logging.WARNING if seconds * left > LONG_RUN_S else logging.INFO
            logger.log(level, "%s", estimate(seconds, left))


def estimate(step_s: float, steps: int) -> str:
    """How long `steps` more steps take, in words."""
    total = timedelta(seconds=round(step_s * steps))
    advice = (
        "; fewer --epochs, a smaller --windows_per_study or a GPU shorten it" if step_s * steps > LONG_RUN_S else ""
    )
    return f"{step_s:.3g} s a step, {steps} steps left: about {total} without validation{advice}"


class StrategyScalars:
    """Writes a strategy's terms to TensorBoard, each by its name, after every iteration.

    Args:
        strategy: the loss in use.
        writer: of the run.
    """

    def __init__(self, strategy: Strategy, writer: SummaryWriter) -> None:
        self.strategy = strategy
        self.writer = writer

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda _: self.writer.flush())

    def __call__(self, engine: Engine) -> None:
        for name, value in self.strategy.parts.items():
            self.writer.add_scalar(f"strategy/{name}", float(value), engine.state.iteration)
