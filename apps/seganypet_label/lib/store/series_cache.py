"""The series of an archive in the cache: fetched whole, and again where the archive changed them."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from pathlib import Path

from monailabel.interfaces.exception import ImageNotFoundException
from pydicom.errors import InvalidDicomError

from lib.store.archive import Archive
from lib.store.series_changes import ASKED_FOR, WHO, differences
from seganypet.pet.dicom_file import read_dicom

logger = logging.getLogger(__name__)

SERIES = "series"  # folder of fetched series inside the cache
FETCHED = ".slices"  # how many slices the archive said a series had when it was fetched


class SeriesCache:
    """A folder with a folder per series, named by its UID.

    Args:
        archive: where the series are.
        folder: of the cache.
    """

    def __init__(self, archive: Archive, folder: Path) -> None:
        self._archive, self._folder = archive, folder / SERIES
        self._fetching: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._known: dict[str, tuple[str, ...]] = {}  # what an archive says otherwise than the files it sends
        self._folder.mkdir(parents=True, exist_ok=True)

    def is_here(self, uid: str) -> bool:
        """Whether a series was fetched."""
        return self._slices(uid) is not None

    def bring(self, study_uid: str, uid: str, slices: int) -> bool:
        """Fetch a series that is not here, or that the archive lists more of by now; whether that was done.

        Args:
            slices: how many the archive lists; 0 where it does not say.

        Raises:
            ImageNotFoundException: the archive does not have it any more.
            requests.RequestException: it is not here, and the archive does not answer.
        """
        if self._is_current(uid, slices):  # no lock: who has that may be waiting for the archive
            return False
        with self._fetching[uid]:
            if self._is_current(uid, slices):
                return False
            self._fetch(study_uid, uid, slices)
            return True

    def check(self, study_uid: str, uid: str, slices: int) -> bool:
        """Ask what the archive says of one instance, and fetch the series again where it was corrected there.

        An archive that does not list how many instances it has is asked for them, too. The copy that is here stays
        until the new one is whole, and where the archive sends no whole one.

        Args:
            slices: as `bring` takes it.

        Returns:
            Whether the series was fetched.

        Raises:
            requests.RequestException: the archive does not answer.
            ValueError: the file that is here cannot be read.
        """
        file, fetched = min((self._folder / uid).glob("*.dcm"), default=None), self._slices(uid)
        if file is None or fetched is None:
            return False
        header = read_dicom(file, pixels=False)
        there = self._archive.header_of(study_uid, uid, str(header.get("SOPInstanceUID", "")), ASKED_FOR)
        found, count = differences(header, there), slices or self._archive.count(study_uid, uid)
        if count > fetched:
            found = (*found, f"it has {count} instances")
        if not found:
            self._known.pop(uid, None)
        if not found or found == self._known.get(uid):
            return False
        named = ("a patient's name or number" if one.startswith(WHO) else one for one in found)  # a log has none
        logger.info("%s has changed in the archive: %s", uid, ", ".join(dict.fromkeys(named)))
        with self._fetching[uid]:
            try:
                self._fetch(study_uid, uid, count)
            except (OSError, ValueError, InvalidDicomError, ImageNotFoundException) as error:
                logger.warning("%s has changed in the archive, and cannot be fetched again: %s", uid, error)
                return False
        self._known[uid] = found
        return True

    def forget(self, uid: str) -> None:
        """Have a series fetched anew should it come back; what is read of it at this moment can be read to the end."""
        (self._folder / uid / FETCHED).unlink(missing_ok=True)

    def _is_current(self, uid: str, slices: int) -> bool:
        there = self._slices(uid)
        return there is not None and slices in (0, there)

    def _fetch(self, study_uid: str, uid: str, listed: int) -> None:
        count = self._archive.fetch(study_uid, uid, self._folder / uid, listed=listed)
        (self._folder / uid / FETCHED).write_text(str(listed or count))

    def _slices(self, uid: str) -> int | None:
        """How many slices the archive had when a series was fetched; None where it was not."""
        try:
            return int((self._folder / uid / FETCHED).read_text())
        except (OSError, ValueError):
            return None
