"""Weights from and to files: released checkpoints, read without running what is in them, and our model.pt."""

from __future__ import annotations

import argparse
import os
import pickle
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from seganypet.whole_file import whole_file

from .click_network import ClickNetwork
from .registry import build_network
from .settings import DEFAULT_SETTINGS, NetworkSettings, Rung

STATE_KEYS = ("model", "model_state_dict", "state_dict")  # ours, the released files', others'
NUMPY_SCALAR = np.float64().__reduce__()[0]  # what a pickle rebuilds a numpy number with
SAFE_GLOBALS: Final[list[Any]] = [  # released files hold a Namespace; losses kept beside it may be numpy numbers
    argparse.Namespace,
    Counter,
    (NUMPY_SCALAR, "numpy.core.multiarray.scalar"),
    (NUMPY_SCALAR, "numpy._core.multiarray.scalar"),  # the same, written by numpy 2
    np.dtype,
    *(type(np.dtype(name)) for name in ("float32", "float64", "int64")),
]
NAMED_AT_MOST = 8
_safe_globals_lock = threading.Lock()  # torch's allow-list is one for the whole process


@dataclass(frozen=True)
class Checkpoint:
    """What a file of weights holds.

    Args:
        state: tensors by name, without a `module.` prefix.
        settings: what they were trained with, or None where the file does not say.
    """

    state: dict[str, Tensor]
    settings: NetworkSettings | None


def load_weights(net: nn.Module, path: str | os.PathLike[str]) -> None:
    """Loads a file's weights into a network, all of them or none.

    Half-precision tensors are cast to the network's own precision. Where the file says what its weights were trained
    with, `net.settings` becomes that.

    Args:
        net: a network of `build_network`.
        path: a released `.pth`, our `model.pt`, or a bare state dict; names may carry the prefix `module.`.

    Raises:
        FileNotFoundError: no such file.
        TypeError: `net` is no network of `build_network`.
        ValueError: not a checkpoint, truncated, holding code, of another architecture, or with names or shapes that
            are not the network's, which are named.
    """
    _load_into(_unwrapped(net), read_checkpoint(path), path)


def load_network(path: str | os.PathLike[str]) -> ClickNetwork:
    """The network that a file's settings name, with its weights, in evaluation mode.

    A released `.pth` does not say what it was trained with: it becomes "vit_b" with its default settings.

    Args:
        path: as in `load_weights`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: as in `load_weights`.
    """
    checkpoint = read_checkpoint(path)
    settings = checkpoint.settings or DEFAULT_SETTINGS["vit_b"]
    net = build_network(settings.architecture, settings)
    _load_into(net, checkpoint, path)
    return net.eval()


def with_rungs(net: ClickNetwork, finer: Sequence[Rung]) -> ClickNetwork:
    """A network of the same weights with other finer rungs, to train on; what only a ladder has starts at zero.

    Args:
        net: a network of `build_network`.
        finer: its new rungs below `spacing_mm`, finest first.

    Raises:
        ValueError: rungs that the architecture cannot have.
    """
    wider = build_network(net.settings.architecture, replace(net.settings, finer=tuple(finer)))
    own, old = wider.state_dict(), net.state_dict()
    wider.load_state_dict({name: old.get(name, zeros) for name, zeros in own.items()})
    return wider


def with_close_ups(net: ClickNetwork) -> ClickNetwork:
    """A network of the same weights that looks close up, to train on: what decodes close-ups starts as what decodes.

    Args:
        net: a network of `build_network`.
    """
    own = build_network(net.settings.architecture, replace(net.settings, close_ups=True))
    old = net.state_dict()
    own.load_state_dict({name: old[name.replace("close_up_decoder.", "decoder.")] for name in own.state_dict()})
    return own


def save_network(net: nn.Module, path: str | os.PathLike[str], *, half: bool = True) -> None:
    """Writes weights and settings as our model.pt, whole or not at all.

    Args:
        net: a network of `build_network`.
        path: file to write or replace; its folder is made.
        half: store parameters in float16. Buffers are few and stay as they are.

    Raises:
        TypeError: `net` is no such network.
        ValueError: a parameter is not finite, or `half` and beyond the range of float16; it is named.
    """
    settings = _unwrapped(net).settings
    parameters = {name for name, _ in net.named_parameters()}
    state = {}
    for name, tensor in net.state_dict().items():
        stored = tensor.detach().cpu()
        stored = stored.half() if half and name in parameters else stored.clone()
        if not torch.isfinite(stored).all():
            raise ValueError(f"{name} is not finite{' in float16' if half else ''}; {path} was not written")
        state[name] = stored
    with whole_file(path) as draft, draft.open("wb") as file:  # into a path, its name would be a part of the content
        torch.save({"model": state, "settings": settings.to_dict()}, file)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Tensors and settings of a file, on the CPU; nothing in it is run.

    Args:
        path: as in `load_weights`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, truncated, or holding code.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file of weights at {path}")
    try:
        with _safe_globals_lock, torch.serialization.safe_globals(SAFE_GLOBALS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken or hostile file can raise anything
        raise ValueError(f"{path} is no checkpoint that can be read safely: {_reason(error)}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds {type(content).__name__}, not a checkpoint's dictionary")
    state = next((content[key] for key in STATE_KEYS if isinstance(content.get(key), Mapping)), content)
    if not state or not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()):
        raise ValueError(f"{path} is not a checkpoint: no tensors by name under {', '.join(STATE_KEYS)} or at its top")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return Checkpoint(dict(state), _read_settings(content, path))


def _read_settings(content: Mapping[str, Any], path: str | os.PathLike[str]) -> NetworkSettings | None:
    settings = content.get("settings")
    if settings is None or isinstance(settings, Tensor):
        return None
    try:
        return NetworkSettings.from_dict(dict(settings))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} has settings that cannot be read: {error}") from error


def _reason(error: Exception) -> str:
    """The part of torch's message that says what is wrong, without its advice to load the file unsafely."""
    text = str(error)
    refused = re.search(r"GLOBAL (\S+)", text)
    if refused:
        return f"it holds code or objects that are not loaded ({refused[1]})"
    if isinstance(error, EOFError):
        return "it is empty or truncated"
    if "PytorchStreamReader" in text:
        return "it is truncated or damaged"
    if isinstance(error, pickle.UnpicklingError):
        return "it is a pickle that holds more than tensors and plain values"
    return f"it is not in torch's format ({type(error).__name__})"


def _load_into(net: ClickNetwork, checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
    architecture = net.settings.architecture
    if checkpoint.settings is not None and checkpoint.settings.architecture != architecture:
        raise ValueError(
            f"{path} holds weights of {checkpoint.settings.architecture!r}, the network is {architecture!r}"
        )
    own = net.state_dict()
    state = checkpoint.state
    problems = [
        *_listed("missing", [name for name in own if name not in state]),
        *_listed("unexpected", [name for name in state if name not in own]),
        *_listed(
            "of another shape",
            [
                f"{name} {list(state[name].shape)} instead of {list(tensor.shape)}"
                for name, tensor in own.items()
                if name in state and state[name].shape != tensor.shape
            ],
        ),
        *_listed(
            "of another kind",
            [
                f"{name} {state[name].dtype} instead of {tensor.dtype}"
                for name, tensor in own.items()
                if name in state and state[name].is_floating_point() != tensor.is_floating_point()
            ],
        ),
    ]
    if problems:
        raise ValueError(f"{path} does not fit the network {architecture!r}: " + "; ".join(problems))
    net.load_state_dict(state)
    if checkpoint.settings is not None:
        net.settings = checkpoint.settings


def _unwrapped(net: nn.Module) -> ClickNetwork:
    if not isinstance(net, ClickNetwork):
        raise TypeError(f"{type(net).__name__} is no ClickNetwork; pass a network of build_network, unwrapped")
    return net


def _listed(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return [f"{len(names)} {what}: {', '.join(names[:NAMED_AT_MOST])}{more}"]
