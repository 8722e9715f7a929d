"""Clicks as people and files write them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from seganypet.clicks.click import Click


def read_clicks(value: Any, *, positive: bool = True) -> list[Click]:
    """Clicks from a command line, a data list or a JSON file.

    Args:
        value: "120,80,45" or (120, 80, 45), one click; "[[120,80,45],[…]]" or the list itself, several; objects
            {"ijk": [120, 80, 45], "positive": false} where they differ in sign; or the path of a JSON file that holds
            such a list, alone or under the key "clicks". None is no click.
        positive: what a click is that does not say so itself.

    Returns:
        The clicks in the order they were written.

    Raises:
        ValueError: anything else; the message shows the part that is wrong.
        FileNotFoundError: text that is neither numbers nor an existing file.
    """
    if value is None:
        return []
    if isinstance(value, str | Path):
        value = _from_text(str(value))
    if isinstance(value, dict):
        value = value.get("clicks", [value])
    if not isinstance(value, Iterable):
        raise ValueError(f"clicks must be voxel indices i,j,k or a list of them, got {value!r}")
    items = list(value)
    if items and all(_is_number(item) for item in items):
        items = [items]
    return [_click(item, positive) for item in items]


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
    if not path.is_file():
        raise FileNotFoundError(f"clicks must be i,j,k, a JSON list, or a JSON file; there is no file {text!r}")
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def _click(item: Any, positive: bool) -> Click:
    if isinstance(item, Click):
        return item
    if isinstance(item, dict):
        if "ijk" not in item:
            raise ValueError(f"a click needs 'ijk', its voxel indices; got {item!r}")
        item, positive = item["ijk"], bool(item.get("positive", positive))
    if not isinstance(item, Sequence) or isinstance(item, str) or not all(_is_number(index) for index in item):
        raise ValueError(f"a click needs three voxel indices i,j,k, got {item!r}")
    i, j, k = Click(tuple(item), positive).ijk  # type: ignore[arg-type]  # says itself when they are not three
    return Click((i, j, k), positive)


def _is_number(item: Any) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool)
