"""What a run starts from: a network, and a cohort where it is given no data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from filelock import FileLock

from seganypet.data import write_cohort
from seganypet.networks import DEFAULT_SETTINGS, build_network, load_network, with_rungs
from seganypet.networks.click_network import ClickNetwork


def start_network(
    architecture: str = "compact",
    weights: str | Path | None = None,
    device: torch.device | str = "cpu",
    *,
    points: str | None = None,
    ladder: bool = True,
    drawn_masks: bool = False,
) -> ClickNetwork:
    """A network to train: new, or with the weights and settings of a file.

    Weights of before the ladder get the architecture's own finer rungs, to be trained on them.

    Args:
        architecture: "compact" or "vit_b"; must be the file's where there is one.
        weights: model.pt or a released .pth; None starts from random weights.
        device: where to train.
        points: "accumulated" or "newest" clicks for the decoder; None keeps the architecture's or the file's way.
        ladder: False trains without finer rungs.
        drawn_masks: whether it will be trained on drawings as mask prompts, so that it is asked with them.

    Raises:
        ValueError: the file holds another architecture.
    """
    network = build_network(architecture) if weights is None else load_network(weights)
    if network.settings.architecture != architecture:
        raise ValueError(f"{weights} holds {network.settings.architecture}, the run trains {architecture}")
    finer = (network.settings.finer or DEFAULT_SETTINGS[architecture].finer) if ladder else ()
    if finer != network.settings.finer:
        network = with_rungs(network, finer)
    if drawn_masks:
        network.settings = replace(network.settings, drawn_masks=True)
    if points is not None:
        network.settings = replace(network.settings, points=points)
    return network.to(device)


def phantom_cohort(folder: str | Path, count: int, *, validation: int, seed: int) -> Path:
    """The data list of a phantom cohort in `folder`, written where it is not there yet.

    Processes that start together wait for the first of them to write it.

    Args:
        folder: of the cohort.
        count: phantoms in all.
        validation: how many of them are for validation.
        seed: of the cohort.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    with FileLock(Path(folder) / ".lock"):
        return write_cohort(folder, count, seed, validation=validation)
