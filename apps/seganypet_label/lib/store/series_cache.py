"""The series of an archive in the cache: fetched whole, again where the archive changed them, dropped once gone."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Container
from pathlib import Path

from pydicom.errors import InvalidDicomError

from lib.store.archive import Archive
from lib.store.series_changes import ASKED_FOR, differences
from seganypet.pet.dicom_file import read_dicom

logger = logging.getLogger(__name__)

SERIES = "series"  # folder of fetched series inside the cache
FETCHED = ".slices"  # how many slices the archive said a series had when it was fetched
KEPT_S = 3600.0  # files of a series that is gone, for who is reading them


class SeriesCache:
    """A folder with a folder per series, named by its UID.

    Args:
        archive: where the series are.
        folder: of the cache.
    """

    def __init__(self, archive: Archive, folder: Path) -> None:
        self._archive, self._folder = archive, folder / SERIES
        self._fetching: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._changed: dict[str, tuple[tuple[str, ...], int]] = {}  # what changed, and how many instances there are
        self._known: dict[str, tuple[str, ...]] = {}  # what an archive says otherwise than the files it sends
        self._folder.mkdir(parents=True, exist_ok=True)

    def is_here(self, uid: str) -> bool:
        """Whether a series was fetched."""
        return self._slices(uid) is not None

    def bring(self, study_uid: str, uid: str, slices: int) -> bool:
        """Fetch a series that is not here, or that the archive has otherwise now; whether that was done.

        A copy that is here stays until the new one is whole. Where `check` found a change and the archive sends no
        whole series, the copy is used further.

        Args:
            slices: how many the archive lists; 0 where it does not say.

        Raises:
            ImageNotFoundException: the archive does not have it any more.
            requests.RequestException: it is not here, and the archive does not answer.
        """
        with self._fetching[uid]:
            (changed, count), there = self._changed.pop(uid, ((), 0)), self._slices(uid)
            if there is None or slices not in (0, there):
                self._fetch(study_uid, uid, slices)
                return True
            if not changed:
                return False
            try:
                self._fetch(study_uid, uid, count)
            except (OSError, ValueError, InvalidDicomError) as error:
                logger.warning("%s has changed in the archive, and cannot be fetched again: %s", uid, error)
                return False
            self._known[uid] = changed
            return True

    def check(self, study_uid: str, uid: str, slices: int) -> None:
        """Ask what the archive says of one instance, so that `bring` fetches anew what was corrected there.

        An archive that does not list how many instances it has is asked for them, too.

        Args:
            slices: as `bring` takes it.

        Raises:
            requests.RequestException: the archive does not answer.
            ValueError: the file that is here cannot be read.
        """
        file, fetched = min((self._folder / uid).glob("*.dcm"), default=None), self._slices(uid)
        if file is None or fetched is None:
            return
        header = read_dicom(file, pixels=False)
        there = self._archive.header_of(study_uid, uid, str(header.get("SOPInstanceUID", "")), ASKED_FOR)
        found, count = differences(header, there), slices or self._archive.count(study_uid, uid)
        if count > fetched:
            found = (*found, f"it has {count} instances")
        if not found:
            self._known.pop(uid, None)
        elif found != self._known.get(uid):
            logger.info("%s has changed in the archive: %s", uid, ", ".join(found))
            self._changed[uid] = (found, count)

    def forget(self, uid: str) -> None:
        """Have a series fetched anew should it come back; what is read of it at this moment can be read to the end."""
        (self._folder / uid / FETCHED).unlink(missing_ok=True)

    def drop_unlisted(self, listed: Container[str]) -> None:
        """Forget the series that an archive does not list any more; their files go when nobody can be reading them.

        Args:
            listed: UIDs of those it lists.
        """
        for folder in [one for one in self._folder.iterdir() if one.name not in listed]:
            fetching = self._fetching[folder.name]
            if not fetching.acquire(blocking=False):
                continue
            try:
                self.forget(folder.name)
                if time.time() - folder.stat().st_mtime > KEPT_S:
                    shutil.rmtree(folder)
            except OSError as error:
                logger.warning("%s is not removed from the cache: %s", folder.name, error)
            finally:
                fetching.release()

    def _fetch(self, study_uid: str, uid: str, listed: int) -> None:
        count = self._archive.fetch(study_uid, uid, self._folder / uid, listed=listed)
        (self._folder / uid / FETCHED).write_text(str(listed or count))

    def _slices(self, uid: str) -> int | None:
        """How many slices the archive had when a series was fetched; None where it was not."""
        try:
            return int((self._folder / uid / FETCHED).read_text())
        except (OSError, ValueError):
            return None
