"""Batches as MONAI's trainers and evaluators hand them to a rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seganypet.training.rollout import Around
from seganypet.training.strategies import RolloutLabel


def prepare_rollout(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, RolloutLabel, tuple[Tensor, Tensor, Tensor, Around | None], dict[str, Any]]:
    """A batch of windows as MONAI's engines take it: image, what the loss compares with, the rollout's arguments, {}.

    Args:
        batch: collated items of `WindowDataset`.
        device: where to.
        non_blocking: copy asynchronously where possible.
    """
    image = batch["image"].to(device, non_blocking=non_blocking)
    targets = batch["targets"].to(device, non_blocking=non_blocking)
    high_quality = batch["high_quality"].to(device, non_blocking=non_blocking)
    around = None
    if "around" in batch:
        around = Around(*(batch[key].to(device) for key in ("around", "around_targets", "around_at")))
    which = tuple(tuple((study, target) for study, target in of) for of in batch["which"].tolist())
    return (
        image,
        RolloutLabel(targets, high_quality, which),
        (targets, batch["seed"], batch["first_click"].to(device), around),
        {},
    )


def call_network(inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
    """The inferer of training: a rollout is one call."""
    return network(inputs, *args, **kwargs)
