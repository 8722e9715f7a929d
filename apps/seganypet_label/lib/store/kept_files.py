"""Files of the studies folder: they appear whole, and what is replaced or removed is put aside, not destroyed."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from seganypet.whole_file import DRAFT, is_abandoned, whole_file

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


def keep_a_copy(root: Path, file: Path) -> None:
    """Keep what a file holds in .seganypet/replaced/, as `put_aside` does, while the file stays until it is replaced.

    Were it moved, a kill before the new one is written would leave nothing in its place.
    """
    if file.exists():
        folder = root / PRIVATE / "replaced" / file.parent.relative_to(root)
        folder.mkdir(parents=True, exist_ok=True)
        link(file, folder / f"{time_stamp()}_{file.name}")


def link(file: Path, copy: Path) -> None:
    """Give what a file holds another name: `keep` puts another file in the first name's place, and leaves this one."""
    try:
        os.link(file, copy)
    except OSError:  # a file system without links
        shutil.copy2(file, copy)


def remove_drafts(root: Path) -> None:
    """Remove what processes of this machine that are no more left half written under the studies folder."""
    for folder in (root, root / "labels", root / PRIVATE):
        found = folder.glob(f".*{DRAFT}") if folder == root else folder.rglob(f".*{DRAFT}")
        for draft in found:
            if is_abandoned(draft):
                draft.unlink(missing_ok=True)


def time_stamp() -> str:
    """Now, for a file's name; later ones sort later."""
    now = time.time_ns()
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}"
