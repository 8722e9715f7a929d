"""Labels that others left in the archive, taken in once for a study; what failed is tried again, and never hidden."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from lib.store.archive import Archive, trouble
from lib.store.archive_labels import ArchiveLabel, newest_label
from lib.store.kept_files import PRIVATE, keep
from lib.store.reader import READER
from seganypet.data.label_reading import LabelMap
from seganypet.pet import PetVolume

logger = logging.getLogger(__name__)

FOLDER = "archive_labels"  # in the server's own: a file per study
TAKEN_IN, AWAITED, REMOVED = b"taken in\n", b"awaited\n", b"removed here\n"

Keep = Callable[[str, LabelMap, dict[str, Any], PetVolume], object]
LabelOf = Callable[[str, PetVolume], tuple[dict[str, Any], NDArray[np.int16]] | None]


class LabelIntake:
    """Takes in a study's newest label, and knows on the disk whether it did.

    Args:
        archive: where the labels are.
        root: the store's folder.
        keep: keeps a final label: study, label map, info, volume.
        label_of: study and volume → info and voxels of the final label that is kept, None where there is none.
    """

    def __init__(self, archive: Archive, root: Path, keep: Keep, label_of: LabelOf) -> None:
        self._archive, self._folder = archive, root / PRIVATE / FOLDER
        self._keep, self._label_of = keep, label_of
        self._asking: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        # of a study's saves: none comes between the look at what is here and what is taken in
        self.keeping: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    def expect(self, study_id: str) -> None:
        """Await the archive's label of a study that has none here and was fetched now, unless one was removed here."""
        if self._state(study_id) != REMOVED:
            self._note(study_id, AWAITED)

    def forgo(self, study_id: str) -> None:
        """Await none any more: the label was removed here, and does not come back by itself."""
        self._note(study_id, REMOVED)

    def take_in(self, study_id: str, study_uid: str, volume: Callable[[], PetVolume]) -> str:
        """Keep the archive's newest label where it is awaited: as it is, or beside what was saved here meanwhile.

        Args:
            volume: gives the study.

        Returns:
            What keeps it from being known, "" where nothing does.
        """
        with self._asking[study_id]:
            if self._state(study_id) != AWAITED:
                return ""
            try:
                study = volume()
                found = newest_label(self._archive, study_uid, study)
                if found is not None:
                    self._keep_found(study_id, found, study)
            except OSError as error:  # those of requests are OSErrors, too
                return self._not_yet(study_id, trouble(error))
            except HTTPException as error:
                if error.status_code == 409:
                    return self._not_yet(study_id, str(error.detail))
                logger.warning("%s: no label is taken in from the archive: %s", study_id, error.detail)
            except ValueError as error:
                logger.warning("%s: no label is taken in from the archive: %s", study_id, error)
            self._note(study_id, TAKEN_IN)
            return ""

    def _not_yet(self, study_id: str, reason: str) -> str:
        logger.warning("%s: no label is taken in from the archive yet: %s", study_id, reason)
        return f"the label that is there could not be taken in first: {reason}"

    def _keep_found(self, study_id: str, found: ArchiveLabel, volume: PetVolume) -> None:
        nobody = READER.set("")  # whoever opened the study did not draw it
        try:
            with self.keeping[study_id]:
                if self._label_of(study_id, volume) is None:
                    label = LabelMap(found.labels.astype(np.int16), volume.affine, {})
                    self._keep(study_id, label, found.info, volume)
                    return
                for entry, target in zip(found.info["label_info"], found.info["targets"], strict=True):
                    self._keep_beside(study_id, found.labels == entry["idx"], target, volume)
        finally:
            READER.reset(nobody)

    def _keep_beside(self, study_id: str, mask: NDArray[np.bool_], target: dict[str, str], volume: PetVolume) -> None:
        """Keep one target of the archive's label; one that is here already stays, another of its name, too."""
        kept = self._label_of(study_id, volume)
        assert kept is not None
        here = {entry["name"]: entry for entry in kept[0].get("targets") or []}
        same = here.get(target["name"])
        if not mask.any() or (same is not None and np.array_equal(kept[1] == same["idx"], mask)):
            return
        if target.get("tracking_uid", "") in {entry.get("tracking_uid") for entry in here.values()}:
            return
        name = _free_name(target["name"], here)
        said = {"label": name, "targets": [{**target, "name": name}], "client_id": "archive", "replaces": ""}
        self._keep(study_id, LabelMap(mask.astype(np.int16), volume.affine, {}), said, volume)

    def _state(self, study_id: str) -> bytes | None:
        try:
            return (self._folder / study_id).read_bytes()
        except OSError:
            return None

    def _note(self, study_id: str, state: bytes) -> None:
        keep(state, self._folder / study_id)


def _free_name(name: str, taken: Container[str]) -> str:
    free, number = name, 1
    while free in taken:
        free, number = f"{name} (archive{f' {number}' if number > 1 else ''})", number + 1
    return free
