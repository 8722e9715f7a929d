"""What a run shows while it goes on."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from monai.utils.enums import CommonKeys
from torch.utils.tensorboard import SummaryWriter

from seganypet.training.strategies import Strategy


class LossBar(ProgressBar):
    """Ignite's progress bar with the loss beside it."""

    def attach(self, engine: Engine, *_: Any, **__: Any) -> None:  # type: ignore[override]
        super().attach(engine, output_transform=lambda output: {"loss": float(output[CommonKeys.LOSS].detach())})


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
