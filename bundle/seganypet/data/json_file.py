"""JSON files that a person names, with messages that say which file it is and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(path: str | Path, what: str = "data list") -> Any:
    """The content of the JSON file at `path`.

    Args:
        path: of the file.
        what: it is, for the message where there is none.

    Raises:
        FileNotFoundError: no file at `path`.
        ValueError: not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"no {what} at {path}") from None
    except ValueError as error:  # bytes that are no text included
        raise ValueError(f"{path} is not JSON: {error}") from None
