"""Names of files that a browser saves, in a header that carries Latin-1 only."""

from __future__ import annotations

import re
from urllib.parse import quote


def attachment(filename: str) -> str:
    """A Content-Disposition for a file to be saved: its name in ASCII, and as it is where that differs (RFC 6266).

    Args:
        filename: any text; in ASCII, what is no letter, digit, dot or hyphen becomes an underscore.
    """
    plain = re.sub(r"[^\w.-]+", "_", filename, flags=re.ASCII)
    said = f'attachment; filename="{plain}"'
    return said if plain == filename else f"{said}; filename*=UTF-8''{quote(filename, safe='')}"
