"""Scores of studies: files that the scoring process writes and the server takes into its index.

The process has an index of its own, read when it started: if it wrote that, it would undo what was saved meanwhile.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.exception import ImageNotFoundException

from lib.store.archive_store import ArchiveStore
from lib.store.datastore import StudyStore
from lib.store.kept_files import PRIVATE, keep
from lib.store.series_cache import FETCHED
from seganypet.data.kept_studies import identity_of

logger = logging.getLogger(__name__)

KEY = "uncertainty"  # of an image's info
FOLDER = Path(PRIVATE) / "scores"


def keep_score(store: StudyStore, study: str, score: dict[str, Any]) -> None:
    """Write a study's score, whole or not at all."""
    keep(json.dumps(score).encode(), store.root / FOLDER / f"{study}.json")


class Scores:
    """The scores that are there.

    Args:
        store: whose studies they are of.
    """

    def __init__(self, store: StudyStore) -> None:
        self._store = store
        self._seen: dict[str, int] = {}
        self._known: dict[str, dict[str, Any]] = {}
        self._untold: set[str] = set()  # not in the images' info yet

    def known(self) -> dict[str, dict[str, Any]]:
        """Study → its score, as the files are now; the store is not asked about each, since a reader waits."""
        self._read()
        return dict(self._known)

    def take_in(self) -> dict[str, dict[str, Any]]:
        """As `known`; what was scored since the last time is put into the images' info too."""
        self._read()
        told, self._untold = self._untold, set()
        self._store.update_many_images_info({study: {KEY: self._known[study]} for study in told})
        return dict(self._known)

    def _read(self) -> None:
        folder = self._store.root / FOLDER
        if not folder.is_dir():
            return
        with os.scandir(folder) as files:
            changed = {file.name: file.stat().st_mtime_ns for file in files if file.name.endswith(".json")}
        for name in [name for name, at in changed.items() if self._seen.get(name) != at]:
            self._seen[name] = changed[name]
            study = name.removesuffix(".json")
            try:
                self._known[study] = json.loads((folder / name).read_text())
                self._untold.add(study)
            except (OSError, ValueError) as error:
                logger.warning("%s is no score: %s", folder / name, error)


def to_score(
    store: StudyStore, scores: Mapping[str, Mapping[str, Any]], weights: str, *, fetch: bool = False
) -> list[str]:
    """Studies without a score of these weights, those without a final label first, by name.

    A labelled study's features are all that is asked of it, and they do not depend on weights. One that could not be
    read counts again once its files have changed: it may still have been copied. A series of an archive that is not
    here counts only where it may be fetched: scoring must not bring a whole archive here.

    Args:
        store: the studies.
        scores: those there are.
        weights: hash of those in force.
        fetch: whether series that are not here count too.
    """
    unlabelled = set(store.get_unlabeled_images())
    found = []
    for study in sorted(store.list_images(), key=lambda study: (study not in unlabelled, study)):
        score = scores.get(study, {})
        known = score.get("weights") == weights if study in unlabelled else "weights" in score
        if "problem" in score and score.get("files") != files_of(store, study):
            known = False
        if not known and (fetch or _is_here(store, study)):
            found.append(study)
    return found


def files_of(store: StudyStore, study: str) -> list[int] | None:
    """Nanoseconds of the newest of a study's files and the bytes of all; None of an archive's and where none is there.

    What changes an archive's series has it fetched again.
    """
    if isinstance(store, ArchiveStore):
        return None
    try:
        files = identity_of(store.source(study)[0])["files"]
    except (OSError, ImageNotFoundException):
        return None
    return [max((changed for _, _, changed in files), default=0), sum(size for _, size, _ in files)]


def _is_here(store: StudyStore, study: str) -> bool:
    if not isinstance(store, ArchiveStore):
        return True
    info = store.get_image_info(study)
    return "series_uid" not in info or (store.root / info["folder"] / FETCHED).is_file()
