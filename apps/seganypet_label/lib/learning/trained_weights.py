"""Weights that training on this server's labels brought forth: one file in force, those before it kept."""

from __future__ import annotations

from pathlib import Path

from lib.store.kept_files import PRIVATE, keep, time_stamp

FOLDER = Path(PRIVATE) / "weights"


def trained_file(root: Path) -> Path:
    """Where training publishes, in a studies folder or an archive's cache; not there before it has."""
    return root / FOLDER / "model.pt"


def publish(new: Path, root: Path) -> Path:
    """Put new weights in force; those they replace stay in `replaced` beside them.

    The file is replaced in one step: a server that looks meanwhile sees the old weights or the new ones.

    Args:
        new: model.pt of a run; stays where it is.
        root: the studies folder.
    """
    file = trained_file(root)
    if file.exists():
        keep(file.read_bytes(), file.parent / "replaced" / f"{time_stamp()}_{file.name}")
    keep(new.read_bytes(), file)
    return file


def go_back(root: Path) -> Path | None:
    """Put the weights before the published ones in force again; those they replace stay, too.

    Args:
        root: the studies folder.

    Returns:
        What is in force now: the weights published before, or None for those that the server was started with.

    Raises:
        FileNotFoundError: nothing was published.
    """
    file, replaced = trained_file(root), root / FOLDER / "replaced"
    if not file.is_file():
        raise FileNotFoundError("no weights were published here: there is nothing to go back from")
    before = sorted(replaced.glob(f"*_{file.name}"))
    taken_back = root / FOLDER / "taken_back" / f"{time_stamp()}_{file.name}"
    keep(file.read_bytes(), taken_back)
    if before:
        before[-1].replace(file)  # in one step, and so that going back again goes further
        return file
    file.unlink()
    return None
