"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable

from .click_network import ClickNetwork
from .compact import CompactNetwork
from .settings import DEFAULT_SETTINGS, NetworkSettings
from .vit_b import SegAnyPETNetwork

NETWORKS: dict[str, Callable[[NetworkSettings], ClickNetwork]] = {
    "vit_b": lambda settings: SegAnyPETNetwork(settings=settings),
    "compact": CompactNetwork,
}


def build_network(name: str, settings: NetworkSettings | None = None) -> ClickNetwork:
    """A network with random weights.

    Args:
        name: "vit_b", the released checkpoints' network, or "compact", the embedded one.
        settings: what its weights were, or will be, trained with; the network's own defaults if None.

    Raises:
        ValueError: an unknown name, or settings of another architecture.
    """
    if name not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {name!r}")
    if settings is None:
        settings = DEFAULT_SETTINGS[name]
    if settings.architecture != name:
        raise ValueError(f"settings are those of {settings.architecture!r}, the network is {name!r}")
    return NETWORKS[name](settings)
