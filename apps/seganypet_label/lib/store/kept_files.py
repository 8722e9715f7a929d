"""Files of the studies folder: they appear whole, and what is replaced or removed is put aside, not destroyed."""

from __future__ import annotations

import time
from pathlib import Path

from seganypet.whole_file import whole_file

PRIVATE = ".seganypet"  # the server's own folder inside the studies folder


def keep(content: bytes, target: Path) -> None:
    """Write a file so that its name appears only with the whole content, also when the power fails."""
    with whole_file(target) as draft:
        draft.write_bytes(content)


def put_aside(root: Path, file: Path, why: str) -> None:
    """Move a file to .seganypet/<why>/, under the same folders and with the time before its name.

    Args:
        root: the studies folder.
        file: somewhere under it; nothing happens where it is not there.
        why: "replaced" or "removed".
    """
    if file.exists():
        folder = root / PRIVATE / why / file.parent.relative_to(root)
        folder.mkdir(parents=True, exist_ok=True)
        file.replace(folder / f"{time_stamp()}_{file.name}")


def time_stamp() -> str:
    """Now, for a file's name; later ones sort later."""
    now = time.time_ns()
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}"
