"""Tensors in, logits out: the released checkpoints' network, the embedded one, their weights and settings."""

from .click_network import ClickNetwork
from .registry import build_network
from .settings import DEFAULT_SETTINGS, NetworkSettings, Rung
from .vit_b import SegAnyPETNetwork
from .weights import load_network, load_weights, save_network, with_close_ups, with_rungs

__all__ = [
    "DEFAULT_SETTINGS",
    "ClickNetwork",
    "NetworkSettings",
    "Rung",
    "SegAnyPETNetwork",
    "build_network",
    "load_network",
    "load_weights",
    "save_network",
    "with_close_ups",
    "with_rungs",
]
