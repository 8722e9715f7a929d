"""Dice after given clicks as a metric of MONAI's evaluators, and the weights that were best by it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce
from monai.utils.enums import CommonKeys
from torch import Tensor, nn

from seganypet.evaluation.metrics import dice_per_click
from seganypet.networks import save_network
from seganypet.training.strategies import RolloutLabel, TargetIds


class DiceAtClicks(Metric):
    """Mean Dice over all validation targets, on all processes, and the named clicks.

    Args:
        clicks: which clicks count, from 1.

    Attributes:
        each: of every target that this process validated, the mean over its windows; in one order in every validation.
    """

    required_output_keys = None

    def __init__(self, clicks: Sequence[int] = (1, 3, 5)) -> None:
        self.clicks = [click - 1 for click in clicks]
        super().__init__(output_transform=_logits_and_targets)

    @reinit__is_reduced
    def reset(self) -> None:
        self._sum = torch.tensor(0.0, dtype=torch.float64)
        self._count = torch.tensor(0.0, dtype=torch.float64)
        self._of_target: dict[tuple[int, int], list[float]] = {}

    @reinit__is_reduced
    def update(self, output: tuple[Tensor, Tensor, TargetIds]) -> None:
        logits, targets, which = output
        values = dice_per_click(logits, targets)[..., self.clicks].mean(-1).cpu()  # [B, T]
        self._sum += values.sum()
        self._count += values.numel()
        for names, row in zip(which, values.tolist(), strict=False):
            for target, value in zip(names, row, strict=True):
                self._of_target.setdefault(target, []).append(value)

    @property
    def each(self) -> list[float]:
        return [mean(values) for values in self._of_target.values()]

    @sync_all_reduce("_sum", "_count")
    def compute(self) -> float:
        return float(self._sum / self._count)


def _logits_and_targets(output: dict[str, Any]) -> tuple[Tensor, Tensor, TargetIds]:
    label = output[CommonKeys.LABEL]
    if isinstance(label, RolloutLabel):
        return output[CommonKeys.PRED], label.targets, label.which
    return output[CommonKeys.PRED], label, ()


class NetworkPublisher:
    """Writes model.pt, weights with their settings, whenever the evaluator's key metric is the best so far.

    Args:
        network: what is validated, usually the moving average.
        path: the file; replaced in one step, so that no reader ever sees half of it.
    """

    def __init__(self, network: nn.Module, path: str) -> None:
        self.network = network
        self.path = path

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        if engine.state.best_metric_epoch == engine.state.epoch:  # type: ignore[attr-defined]
            save_network(self.network, self.path)
