"""What happens around an optimiser step, which comes once in `accumulation_steps` iterations."""

from __future__ import annotations

import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from torch import nn

from seganypet.training.strategies import Strategy


def iterations_in_step(trainer: SupervisedTrainer) -> int:
    """How many iterations' gradients the optimiser step of this iteration takes; 0 where none is due.

    As MONAI's trainer counts: every `accumulation_steps` iterations and at the end of an epoch.
    """
    length = trainer.state.epoch_length
    place = (trainer.state.iteration - 1) % length + 1  # from 1 within the epoch
    gathered = (place - 1) % trainer.accumulation_steps + 1
    return gathered if gathered == trainer.accumulation_steps or place == length else 0


class GradientClipping:
    """Scales gradients down to a norm before each optimiser step.

    MONAI divides every iteration's gradient by `accumulation_steps`; an epoch's last step may have gathered fewer, and
    is brought to the mean over those first, so that the tail counts like any other step.

    Args:
        network: whose gradients.
        max_norm: of all of them together.
    """

    def __init__(self, network: nn.Module, max_norm: float = 1.0) -> None:
        self.network = network
        self.max_norm = max_norm

    def attach(self, engine: SupervisedTrainer) -> None:
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Raises FloatingPointError: gradients that are not finite, except under a scaler, which skips that step."""
        gathered = iterations_in_step(engine)
        if gathered == 0:
            return
        scaler = engine.scaler
        if scaler is not None:
            scaler.unscale_(engine.optimizer)
        if gathered < engine.accumulation_steps:
            for parameter in self.network.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(engine.accumulation_steps / gathered)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)
        if scaler is None and not torch.isfinite(norm):
            names = ", ".join(map(str, engine.state.batch["name"]))
            raise FloatingPointError(
                f"gradients are not finite (norm {norm.item()}, first {self._first_bad()}) in iteration "
                f"{engine.state.iteration}, epoch {engine.state.epoch}; the batch holds {names}"
            )

    def _first_bad(self) -> str:
        named = ((name, value.grad) for name, value in self.network.named_parameters() if value.grad is not None)
        return next((name for name, gradient in named if not torch.isfinite(gradient).all()), "none alone")


class MovingAverage:
    """An exponential moving average of the weights, which is what is validated and published.

    Args:
        network: the network in training.
        average: a second network of the same kind that receives the average.
        decay: of the average per optimiser step; smaller during the first iterations.
    """

    def __init__(self, network: nn.Module, average: nn.Module, decay: float = 0.998) -> None:
        self.network = network
        self.average = average
        self.decay = decay
        average.load_state_dict(network.state_dict())
        average.requires_grad_(False)

    def attach(self, engine: SupervisedTrainer) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: SupervisedTrainer) -> None:
        if iterations_in_step(engine) == 0:
            return
        decay = min(self.decay, (1 + engine.state.iteration) / (10 + engine.state.iteration))
        for mean, value in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            mean.lerp_(value, 1 - decay) if mean.is_floating_point() else mean.copy_(value)


class StrategyClock:
    """Lets a strategy's t count iterations.

    Args:
        strategy: the loss in use.
    """

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy

    def attach(self, engine: SupervisedTrainer) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        self.strategy.advance()
