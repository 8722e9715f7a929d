"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DRAFT = ".partial"  # how the name of one ends


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file beside `path` to write; it takes that name once it is on the disk, and goes where an error ends the block.

    Whoever reads `path` meanwhile, whenever the process is killed and also when the power fails, finds what was there
    before or what was written, whole. Once the block has ended, it is what was written: the name is on the disk, too.

    Args:
        path: may exist; its folder is made.

    Yields:
        Another path in the same folder, hidden, with an ending that nobody looks for.
    """
    path = Path(path)
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    who = f"{platform.node() or 'here'}+{os.getpid()}"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}+{who}+", suffix=DRAFT)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.chmod(0o644)
        draft.replace(path)
        for folder in (path.parent, *(one.parent for one in made)):
            _sync(folder)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    """Bring the names in a folder to the disk: a file's own bytes are there without them, under no name."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems have no such thing for a folder
            raise
    finally:
        os.close(handle)


def is_abandoned(draft: Path) -> bool:
    """Whether a draft's process ran on this machine and is no more: it was killed while it wrote."""
    parts = draft.name.removesuffix(DRAFT).rsplit("+", 3)  # the name may have one, too
    if len(parts) != 4 or parts[1] != (platform.node() or "here") or not parts[2].isdigit():
        return False
    try:
        os.kill(int(parts[2]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
