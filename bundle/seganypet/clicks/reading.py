"""Clicks and other prompts as people, files and requests write them."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from seganypet.clicks.click import Click
from seganypet.clicks.prompts import Box, InitialMask, Lasso, Prompt, Scribble
from seganypet.clicks.voxel_set import VoxelSet

MOST_VOXELS = 2**28  # of a drawing's box: 32 MB of bits, more than any scan's grid has
_KEYS = {
    "click": {"ijk", "positive"},
    "box": {"ranges", "positive", "limit"},
    "scribble": {"voxels", "start", "shape", "bits", "positive"},
    "lasso": {"voxels", "start", "shape", "bits", "positive"},
    "mask": {"voxels", "start", "shape", "bits"},
}


def read_prompts(value: Any, *, positive: bool = True) -> list[Prompt]:
    """Prompts as JSON says them: of a request, a data list, an answer. No text is taken for numbers or for a path.

    A prompt is an object with the key "type":

    - {"type": "click", "ijk": [120, 80, 45], "positive": true}
    - {"type": "box", "ranges": [[i0, i1], [j0, j1], [k0, k1]], "positive": true, "limit": false}, half-open
    - {"type": "scribble" or "lasso", "voxels": [[i, j, k], ...], "positive": true}
    - {"type": "mask", "voxels": [[i, j, k], ...]}, which the prompts after it refine

    "positive" is true and "limit" false where they are left out, "click" the type. Large drawings have, instead of
    "voxels", the keys "start" [i, j, k], "shape" and "bits": a box of one bit a voxel in C order, the first voxel the
    highest bit of the first byte, as base64.

    Args:
        value: (120, 80, 45), one click; [[120, 80, 45], …], several; objects as above where they are more than positive
            clicks; or such a list under the key "clicks" or "prompts". None is no prompt.
        positive: what a prompt is that does not say so itself.

    Returns:
        The prompts in the order they were written.

    Raises:
        ValueError: anything else; the message shows the part that is wrong.
    """
    if value is None:
        return []
    if isinstance(value, dict):
        value = value.get("prompts", value.get("clicks", [value]))
    if not isinstance(value, Iterable) or isinstance(value, str | Mapping):
        raise ValueError(f"clicks must be voxel indices i,j,k or a list of them, got {_short(value)}")
    items = list(value)
    if items and all(_is_number(item) for item in items):
        items = [items]
    return [_prompt(item, positive) for item in items]


def read_prompts_as_typed(value: Any, *, positive: bool = True) -> list[Prompt]:
    """Prompts as a person gives them to a command: "120,80,45", JSON, a JSON file's path, or all of `read_prompts`.

    Not for what comes from elsewhere: it opens the file that a text names.

    Raises:
        ValueError: as `read_prompts`, and a file that is not JSON.
        FileNotFoundError: text that is neither numbers nor an existing file.
    """
    if isinstance(value, str | Path):
        value = _from_text(str(value))
    return read_prompts(value, positive=positive)


def prompt_json(prompt: Prompt) -> dict[str, Any]:
    """A prompt as `read_prompts` reads it; a click without its type, as labels have always held them."""
    if isinstance(prompt, Click):
        return {"ijk": list(prompt.ijk), "positive": prompt.positive}
    if isinstance(prompt, Box):
        ranges = [list(side) for side in prompt.ranges]
        return {"type": "box", "ranges": ranges, "positive": prompt.positive, "limit": prompt.limit}
    drawn: dict[str, Any] = {"voxels": []}
    if prompt.voxels is not None:
        bits = base64.b64encode(prompt.voxels.bits).decode()
        drawn = {"start": list(prompt.voxels.start), "shape": list(prompt.voxels.shape), "bits": bits}
    if isinstance(prompt, InitialMask):
        return {"type": "mask", **drawn}
    return {"type": "scribble" if isinstance(prompt, Scribble) else "lasso", **drawn, "positive": prompt.positive}


def _from_text(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        pass
    path = Path(text)
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    except (OSError, ValueError):  # a text too long for a name, or with a zero byte, too
        raise FileNotFoundError(
            f"clicks must be i,j,k, a JSON list, or a JSON file; there is no file {_short(text)}"
        ) from None
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def _prompt(item: Any, positive: bool) -> Prompt:
    if isinstance(item, Click | Box | Scribble | Lasso | InitialMask):
        return item
    if not isinstance(item, dict):
        return _click(item, positive)
    kind = item.get("type", "click")
    if not isinstance(kind, str) or kind not in _KEYS:
        raise ValueError(f"a prompt's type must be one of {', '.join(_KEYS)}, got {_short(kind)}")
    unknown = set(item) - _KEYS[kind] - {"type"} if "type" in item else ()
    if unknown:
        raise ValueError(f"a {kind} has no key {', '.join(sorted(unknown))}; it has {', '.join(sorted(_KEYS[kind]))}")
    if kind == "mask":
        return InitialMask(_voxels(item, kind, may_be_empty=True))
    positive = _flag(item, "positive", positive)
    if kind == "click":
        if "ijk" not in item:
            raise ValueError(f"a click needs 'ijk', its voxel indices; got {_short(item)}")
        return _click(item["ijk"], positive)
    if kind == "box":
        return Box(item.get("ranges"), positive, _flag(item, "limit", False))  # type: ignore[arg-type]  # says it itself
    voxels = _voxels(item, kind)
    assert voxels is not None
    return Scribble(voxels, positive) if kind == "scribble" else Lasso(voxels, positive)


def _click(item: Any, positive: bool) -> Click:
    if not isinstance(item, Sequence) or isinstance(item, str) or not all(_is_number(index) for index in item):
        raise ValueError(f"a click needs three voxel indices i,j,k, got {_short(item)}")
    if not all(_is_finite(index) for index in item):
        raise ValueError(f"a click's voxel indices must be finite, got {_short(item)}")
    return Click(tuple(item), positive)  # says itself when they are not three


def _voxels(item: Mapping[str, Any], kind: str, *, may_be_empty: bool = False) -> VoxelSet | None:
    if ("voxels" in item) == ("bits" in item):
        raise ValueError(f"a {kind} needs either 'voxels', a list of [i, j, k], or 'start', 'shape' and 'bits'")
    if "bits" in item:
        return _unpacked(item, kind, may_be_empty)
    voxels = item["voxels"]
    if voxels == [] and may_be_empty:
        return None
    if not isinstance(voxels, list) or not voxels or not all(_is_triple(voxel) for voxel in voxels):
        wanted = "a list of [i, j, k], whole numbers from 0 up"
        raise ValueError(f"a {kind}'s voxels must be {wanted}; got {_short(voxels)}")
    places = np.array(voxels)
    low = places.min(0)
    shape = [int(n) for n in places.max(0) - low + 1]
    _check_size(shape, kind)
    box = np.zeros(shape, bool)
    box[tuple((places - low).T)] = True
    i, j, k = low.tolist()
    return VoxelSet.of(box, (i, j, k))


def _unpacked(item: Mapping[str, Any], kind: str, may_be_empty: bool) -> VoxelSet | None:
    start, shape, bits = item.get("start"), item.get("shape"), item["bits"]
    if not _is_triple(start) or not _is_triple(shape) or not isinstance(bits, str):
        raise ValueError(
            f"a {kind}'s 'start' and 'shape' must be three whole numbers and its 'bits' text, got {_short(start)}, "
            f"{_short(shape)} and {type(bits).__name__}"
        )
    _check_size(shape, kind)
    try:
        packed = base64.b64decode(bits, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a {kind}'s bits are not base64") from None
    count = math.prod(shape)
    if len(packed) != -(-count // 8):
        raise ValueError(f"a {kind} of {shape} voxels has {-(-count // 8)} bytes of bits, got {len(packed)}")
    box = np.unpackbits(np.frombuffer(packed, np.uint8), count=count).astype(bool).reshape(shape)
    if may_be_empty and not box.any():
        return None
    i, j, k = start
    return VoxelSet.of(box, (i, j, k))


def _check_size(shape: Sequence[int], kind: str) -> None:
    if math.prod(shape) > MOST_VOXELS:
        raise ValueError(f"a {kind} of {list(shape)} voxels is larger than any volume that is read")


def _flag(item: Mapping[str, Any], name: str, default: bool) -> bool:
    value = item.get(name, default)
    if not isinstance(value, bool):
        raise ValueError(f"{name!r} must be true or false, got {_short(value)}")
    return value


def _is_triple(item: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(item, list)
        and len(item) == 3
        and all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**31 for n in item)
    )


def _is_number(item: Any) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a JSON number may have more digits than a float holds
        return False


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
