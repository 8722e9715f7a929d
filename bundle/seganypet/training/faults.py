"""A run that has gone wrong stops at once and says on which files."""

from __future__ import annotations

import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys


class StopOnBadLoss:
    """Stops where the loss is NaN or infinite, before it reaches any weight."""

    def attach(self, engine: SupervisedTrainer) -> None:
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Raises FloatingPointError: the loss is not finite; names the batch's files."""
        loss = engine.state.output[CommonKeys.LOSS]
        if not torch.isfinite(loss):
            names = ", ".join(map(str, engine.state.batch["name"]))
            raise FloatingPointError(
                f"the loss is {loss.item()} in iteration {engine.state.iteration}, epoch {engine.state.epoch}; "
                f"the batch holds {names}"
            )
