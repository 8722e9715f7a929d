"""Text and numbers from outside that are kept: only what every JSON file and every page can hold."""

from __future__ import annotations

import json
import math
import unicodedata
from pathlib import Path
from typing import Any

from lib.store.bad_request import BadRequest

MOST_DEEP = 32  # levels; what is said of a label has six, and the index cannot be written past some two hundred


def check_text(value: Any, what: str) -> None:
    """Refuse text that cannot be written as UTF-8, wherever in a value it stands.

    Args:
        value: as JSON was read.
        what: names it where it cannot be.

    Raises:
        BadRequest: half a character (a lone surrogate), or lists in lists without end.
    """
    _check(value, what, allow_nan=True)


def check_line(text: str, what: str) -> None:
    """Refuse what does not fit on a line of a table or a header.

    Raises:
        BadRequest: as `check_text`; a line break or another control character.
    """
    check_text(text, what)
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise BadRequest(f"{what} must be one line without control characters, got {text!r}"[:200])


def check_kept(value: Any, what: str) -> None:
    """Refuse what would break the index, or a page that shows it, once it is kept.

    Raises:
        BadRequest: as `check_text`; NaN, infinity, or more than `MOST_DEEP` levels.
    """
    _check(value, what, allow_nan=False)
    if isinstance(value, dict | list | tuple) and _is_deeper(value, MOST_DEEP):
        raise BadRequest(f"{what} is nested too deeply: at most {MOST_DEEP} levels are kept")


def read_kept(file: Path) -> Any:
    """What a JSON file holds that was kept, as it can be used: half characters and numbers that are none are replaced.

    Raises:
        ValueError: no JSON.
        OSError: it cannot be read.
    """
    try:
        return _sound(json.loads(file.read_text(encoding="utf-8")), 2 * MOST_DEEP)  # an index holds infos
    except RecursionError:
        raise ValueError(f"{file.name} is nested too deeply") from None


def _check(value: Any, what: str, *, allow_nan: bool) -> None:
    try:
        json.dumps(value, allow_nan=allow_nan, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise BadRequest(f"{what} holds half a character (a lone surrogate), which is no text") from None
    except RecursionError:
        raise BadRequest(f"{what} is nested too deeply") from None
    except ValueError:
        raise BadRequest(f"{what} holds NaN or infinity, which JSON does not know") from None


def _is_deeper(value: Any, levels: int) -> bool:
    if levels == 0:
        return True
    inside = value.values() if isinstance(value, dict) else value
    return any(isinstance(one, dict | list | tuple) and _is_deeper(one, levels - 1) for one in inside)


def _sound(value: Any, levels: int) -> Any:
    """A value without what `check_kept` refuses: text mended, and None for the rest."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if not isinstance(value, dict | list):
        return value
    if levels == 0:
        return None
    if isinstance(value, dict):
        return {_sound(key, levels): _sound(one, levels - 1) for key, one in value.items()}
    return [_sound(one, levels - 1) for one in value]
