"""The network that a run starts from."""

from __future__ import annotations

from pathlib import Path

import torch

from seganypet.networks import build_network, load_network
from seganypet.networks.click_network import ClickNetwork


def start_network(
    architecture: str = "compact", weights: str | Path | None = None, device: torch.device | str = "cpu"
) -> ClickNetwork:
    """A network to train: new, or with the weights and settings of a file.

    Args:
        architecture: "compact" or "vit_b"; must be the file's where there is one.
        weights: model.pt or a released .pth; None starts from random weights.
        device: where to train.

    Raises:
        ValueError: the file holds another architecture.
    """
    if weights is None:
        return build_network(architecture).to(device)  # type: ignore[return-value]
    network: ClickNetwork = load_network(weights)  # type: ignore[assignment]
    if network.settings.architecture != architecture:
        raise ValueError(f"{weights} holds {network.settings.architecture}, the run trains {architecture}")
    return network.to(device)
