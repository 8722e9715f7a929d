"""The bundle's version, as its metadata says it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

METADATA = Path(__file__).resolve().parents[1] / "configs" / "metadata.json"


@cache
def version() -> str:
    """ "0.4.3"; "unknown" where the package was taken out of its bundle."""
    try:
        return str(json.loads(METADATA.read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError):
        return "unknown"
