"""The DICOM series of a studies folder as DICOMweb sees them: PET series and what was imaged beside them as they lie
there, final labels as DICOM SEG.

A search opens one file a series; headers are read when somebody asks for them, and kept as DICOM JSON within a bound. A
file that cannot be read is left out, and the log says why.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from monailabel.interfaces.exception import ImageNotFoundException

from lib.store.datastore import StudyStore
from lib.store.dicom_instance import Instance, Row, read_instance
from lib.store.label_segs import DESCRIPTION, LabelSeg, LabelSegs
from lib.store.study_list import LOOK_EVERY_S
from seganypet.inference.byte_cache import ByteCache
from seganypet.pet import PetReadError, PetSeries, find_pet_series
from seganypet.pet.series_listing import files_under, group_series

logger = logging.getLogger(__name__)
BESIDE = ("CT", "MR", "NM", "PT")  # modalities that OHIF lays under a PET; also a PT that is not to be clicked in
KEPT_BYTES = 128 * 2**20  # some 15,000 headers
UID = re.compile(r"[0-9.]{1,64}")
# a SEG's attributes that its series shares with the PET's study
OF_STUDY = (
    *("00080020", "00080030", "00080050", "00080090", "00081030", "00100010", "00100020", "00100030", "00100040"),
    *("0020000D", "00200010", "00200052"),
)


@dataclass(frozen=True)
class Series:
    """One series.

    Args:
        study_uid: StudyInstanceUID.
        uid: SeriesInstanceUID.
        study_id: the store's id of the PET series it is, or lies beside.
        count: of its instances.
        head: gives the attributes of its first instance, of a SEG those of its series; None where none can be read.
        instances: gives its instances in the order of InstanceNumber.
        is_pet: whether it is a series that can be clicked in.
    """

    study_uid: str
    uid: str
    study_id: str
    count: int
    head: Callable[[], Row | None]
    instances: Callable[[], list[Instance]]
    is_pet: bool = False


class FolderInstances:
    """Finds the series of a folder's studies; many threads may ask.

    Args:
        store: the studies; those that are DICOM count.
    """

    def __init__(self, store: StudyStore) -> None:
        self._store, self._segs = store, LabelSegs(store)
        self._headers: ByteCache[Instance] = ByteCache(KEPT_BYTES, lambda one: len(one.text) + 1000)
        self._files: dict[tuple[Path, str], tuple[float, tuple[Path, ...]]] = {}
        self._beside: tuple[float, dict[str, list[PetSeries]]] | None = None

    def series(self, study_uid: str = "", series_uid: str = "") -> Iterator[Series]:
        """The series with the study's or series' UID where one is given.

        Each PET is followed by its label, a study's first one by the other images of that study as well.
        """
        seen = set()
        for study_id in self._store.list_images():
            try:
                path, uid = self._store.source(study_id)
            except ImageNotFoundException:
                continue  # it went away meanwhile
            study = str((self._store.get_image_info(study_id).get("about") or {}).get("study_uid", ""))
            if uid is None or not UID.fullmatch(study) or study_uid not in ("", study):
                continue
            if series_uid in ("", uid):
                files = self._files_of(path, uid)
                if files:
                    yield self._as_it_lies(study, uid, study_id, files, is_pet=True)
            seg = self._segs.of_study(study_id, uid) if series_uid != uid else None
            if seg is not None and series_uid in ("", seg.uid):
                yield self._label(study, uid, study_id, path, seg)
            if study in seen or series_uid == uid:
                continue  # who asks for the PET's frames need not wait until the folder was looked through
            for other in self._others().get(study, ()):
                if series_uid in ("", other.uid):
                    yield self._as_it_lies(study, other.uid, study_id, other.files)
            seen.add(study)

    def _others(self) -> dict[str, list[PetSeries]]:
        """Images that nobody can click in, by StudyInstanceUID; looked for once in a while."""
        if self._beside is None or time.monotonic() - self._beside[0] > LOOK_EVERY_S:
            found: dict[str, list[PetSeries]] = {}
            try:
                series, _ = group_series(files_under(self._store.root))
            except OSError:  # the folder went away meanwhile
                series = []
            for one in series:
                if one.problem is not None and one.modality in BESIDE and UID.fullmatch(one.uid):
                    found.setdefault(one.study_uid, []).append(one)
            self._beside = (time.monotonic(), found)
        return self._beside[1]

    def _as_it_lies(
        self, study: str, uid: str, study_id: str, files: tuple[Path, ...], *, is_pet: bool = False
    ) -> Series:
        def head() -> Row | None:
            return next((one.row for file in files if (one := self._read(file)) is not None), None)

        def instances() -> list[Instance]:
            found = [one for file in files if (one := self._read(file)) is not None]
            return sorted(found, key=lambda one: (one.number, one.uid))

        return Series(study, uid, study_id, len(files), head, instances, is_pet=is_pet)

    def _label(self, study: str, pet_uid: str, study_id: str, path: Path, seg: LabelSeg) -> Series:
        def head() -> Row | None:
            files = self._files_of(path, pet_uid)
            pet = self._as_it_lies(study, pet_uid, study_id, files).head() if files else None
            if pet is None:
                return None
            row = {tag: pet[tag] for tag in OF_STUDY if tag in pet}
            row["00080005"] = pet["00080005"]
            row["00080060"] = {"vr": "CS", "Value": ["SEG"]}
            row["0008103E"] = {"vr": "LO", "Value": [DESCRIPTION]}
            row["0020000E"] = {"vr": "UI", "Value": [seg.uid]}
            row["00200011"] = {"vr": "IS", "Value": [300]}
            return row

        def instances() -> list[Instance]:
            made = self._segs.instance(seg)
            return [] if made is None else [made]

        return Series(study, seg.uid, study_id, 1, head, instances)

    def _files_of(self, folder: Path, series_uid: str) -> tuple[Path, ...]:
        """A series' files; a folder is looked through once in a while, not at every frame."""
        known = self._files.get((folder, series_uid))
        if known is not None and time.monotonic() - known[0] < LOOK_EVERY_S:
            return known[1]
        now = time.monotonic()
        try:
            files = next((one.files for one in find_pet_series(folder) if one.uid == series_uid), ())
        except OSError:  # the folder went away meanwhile
            files = ()
        self._files[folder, series_uid] = (now, files)
        return files

    def _read(self, file: Path) -> Instance | None:
        try:
            status = file.stat()
            key = (file, status.st_mtime_ns, status.st_size)
            return self._headers.get_or_make(key, lambda: read_instance(file))[0]
        except (PetReadError, OSError) as error:
            logger.warning("%s is left out: %s", file, error)
            return None
