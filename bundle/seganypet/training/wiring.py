"""The few joints between MONAI's trainers and click rollouts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce
from monai.engines.utils import IterationEvents
from monai.handlers import from_engine
from monai.utils.enums import CommonKeys
from torch import Tensor, nn
from torch.utils.data import Sampler

from seganypet.data.windows import WindowDataset
from seganypet.evaluation.metrics import dice_per_click
from seganypet.networks import save_network


def prepare_rollout(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], dict[str, Any]]:
    """A batch as MONAI's trainers call the network: (image, targets, (targets, seeds), {})."""
    image = batch["image"].to(device, non_blocking=non_blocking)
    targets = batch["targets"].to(device, non_blocking=non_blocking)
    return image, targets, (targets, batch["seed"]), {}


def call_network(inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
    """The inferer of training: a rollout is one call."""
    return network(inputs, *args, **kwargs)


class EpochSampler(Sampler[int]):
    """The windows of an epoch in an order that follows from (seed, epoch).

    Args:
        dataset: the training windows.
        seed: of the run.
    """

    def __init__(self, dataset: WindowDataset, seed: int = 0) -> None:
        self.dataset = dataset
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.dataset.epoch]).permutation(len(self.dataset))
        return iter(order.tolist())

    def __len__(self) -> int:
        return len(self.dataset)


class EpochSeeder:
    """Tells the window dataset which epoch begins, so that a resumed run draws the windows an unbroken one would.

    Args:
        dataset: the training windows.
    """

    def __init__(self, dataset: WindowDataset) -> None:
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        self.dataset.set_epoch(engine.state.epoch)


class GradientClipping:
    """Scales gradients down to a norm before each optimiser step.

    Args:
        network: whose gradients.
        max_norm: of all of them together.
    """

    def __init__(self, network: nn.Module, max_norm: float = 1.0) -> None:
        self.network = network
        self.max_norm = max_norm

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)


class LossBar(ProgressBar):
    """Ignite's progress bar with the loss beside it."""

    def attach(self, engine: Engine, *_: Any, **__: Any) -> None:  # type: ignore[override]
        super().attach(engine, output_transform=lambda output: {"loss": float(output[CommonKeys.LOSS])})


class MovingAverage:
    """An exponential moving average of the weights, which is what is validated and published.

    Args:
        network: the network in training.
        average: a second network of the same kind that receives the average.
        decay: of the average per iteration; smaller during the first iterations.
    """

    def __init__(self, network: nn.Module, average: nn.Module, decay: float = 0.998) -> None:
        self.network = network
        self.average = average
        self.decay = decay
        average.load_state_dict(network.state_dict())
        average.requires_grad_(False)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        decay = min(self.decay, (1 + engine.state.iteration) / (10 + engine.state.iteration))
        for mean, value in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            mean.lerp_(value, 1 - decay) if mean.is_floating_point() else mean.copy_(value)


class DiceAtClicks(Metric):
    """Mean Dice over all validation targets and the named clicks, as an ignite metric.

    Args:
        clicks: which clicks count, from 1.
    """

    required_output_keys = None

    def __init__(self, clicks: Sequence[int] = (1, 3, 5)) -> None:
        self.clicks = [click - 1 for click in clicks]
        super().__init__(output_transform=from_engine([CommonKeys.PRED, CommonKeys.LABEL]))

    @reinit__is_reduced
    def reset(self) -> None:
        self._sum = torch.tensor(0.0, dtype=torch.float64)
        self._count = torch.tensor(0.0, dtype=torch.float64)

    @reinit__is_reduced
    def update(self, output: tuple[Tensor, Tensor]) -> None:
        curves = dice_per_click(*output)  # [B, T, R]
        self._sum += curves[..., self.clicks].mean(-1).sum().cpu()
        self._count += curves.shape[0] * curves.shape[1]

    @sync_all_reduce("_sum", "_count")
    def compute(self) -> float:
        return float(self._sum / self._count)


class NetworkPublisher:
    """Writes model.pt, weights with their settings, whenever validation is better than ever before.

    Args:
        network: what is validated, usually the moving average.
        path: the file; replaced in one step, so that no reader ever sees half of it.
    """

    def __init__(self, network: nn.Module, path: str) -> None:
        self.network = network
        self.path = path
        self.best = float("-inf")

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        value = engine.state.metrics[str(engine.state.key_metric_name)]  # type: ignore[attr-defined]
        if value >= self.best:
            self.best = value
            save_network(self.network, self.path)
