"""Studies of a DICOMweb archive: listed from there, fetched when somebody opens one, final labels sent back as SEG.

MONAI Label's own store finds CT only, drops the tags that SUV needs, keeps its lists for two hours and answers an
unknown series with a bare 500.
"""

from __future__ import annotations

import filecmp
import hashlib
import logging
import shutil
import tempfile
import threading
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import requests
from fastapi import HTTPException
from monailabel.config import settings
from monailabel.datastore.local import ImageLabelModel
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException
from numpy.typing import NDArray

from lib.store.archive import Archive, ArchiveSeries, trouble
from lib.store.archive_checks import Checks
from lib.store.bad_request import BadRequest
from lib.store.datastore import FINAL, StudyStore
from lib.store.label_intake import LabelIntake
from lib.store.label_quality import LOW
from lib.store.label_segs import write_label
from lib.store.names import tag_text
from lib.store.owned_keys import DICOM
from lib.store.series_cache import SERIES, SeriesCache
from lib.store.series_folders import SeriesFolder
from lib.store.volumes import Volumes
from seganypet.data.label_reading import LabelMap
from seganypet.pet import PetVolume

logger = logging.getLogger(__name__)

LIST_EVERY_S = 30.0  # a list of thousands of series takes an archive a while; a series asked for by name is looked up


class ArchiveStore(StudyStore):
    """The PET series of an archive; a study's id is its SeriesInstanceUID.

    What is fetched and every label stand in a cache folder, laid out as a studies folder, so that labels survive a
    server's end and an archive that is away.

    Args:
        archive: where the series are.
        cache: folder of all caches; this archive's is made in it.
        volumes: where studies are read from.
        send_sr: whether the archive gets a DICOM SR of the measures with each SEG.
        final_quality: of a final label that is saved, or found in the archive, without its quality being said.
    """

    def __init__(
        self, archive: Archive, cache: Path, volumes: Volumes, *, send_sr: bool = False, final_quality: str = LOW
    ) -> None:
        self.archive, self.send_sr = archive, send_sr
        self._sending: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # so that no older SEG comes last
        self._listed: dict[str, ArchiveSeries] | None = None  # None until the archive has answered
        self._trouble = "the archive has not answered yet"
        folder = cache / hashlib.md5(archive.url.encode(), usedforsecurity=False).hexdigest()
        self.cache = SeriesCache(archive, folder)
        self.checks, self._lists = Checks(LIST_EVERY_S), Checks(LIST_EVERY_S)
        self._intake = LabelIntake(archive, folder, self._keep_final, self._final_label)
        super().__init__(str(folder), volumes, auto_reload=False, final_quality=final_quality)
        self._look_for_series()

    @classmethod
    def open(cls, url: str, volumes: Volumes, *, send_sr: bool = False, final_quality: str = LOW) -> ArchiveStore:
        """The store of an archive's URL, in the cache folder of MONAI Label's settings."""
        cache = (settings.MONAI_LABEL_DICOMWEB_CACHE_PATH or "").strip()
        home = Path.home() / ".cache" / "monailabel" / "dicom"
        folder = Path(cache) if cache else home
        return cls(Archive.open(url), folder, volumes, send_sr=send_sr, final_quality=final_quality)

    def name(self) -> str:
        return self.archive.url

    @property
    def trouble(self) -> str:
        """Why the archive did not give its list when it was asked last, at most `LIST_EVERY_S` ago; "" where it did."""
        self._look_for_series()
        return self._trouble

    # --- studies

    def study_id(self, name: str) -> str:
        """The id of a study, which may have come to the archive since it was listed.

        Raises:
            ImageNotFoundException: the archive has no such PET series.
            requests.RequestException: the archive does not answer.
        """
        with self._lock:
            if name in self._datastore.objects:
                return name
        found = self.archive.one_series(name)
        if found is None:
            raise ImageNotFoundException(f"the archive {self.archive.url} has no PET series {name!r}")
        if found.problem is not None:
            raise ImageNotFoundException(f"series {name!r} of the archive is not read: {found.problem}")
        with self._lock:
            self._listed = {**(self._listed or {}), name: found}
            self._series = [self._folder_of(one) for one in self._listed.values()]
            self._reconcile_datastore()
        return name

    def source(self, name: str) -> tuple[Path, str | None]:
        """Where a study's files are; they are fetched if they are not here, or if the archive has others since.

        Raises:
            ImageNotFoundException: the archive has no such PET series, or not any more.
            requests.RequestException: the archive does not answer, and the series is not here.
        """
        study_id = self.study_id(name)
        path, series_uid = super().source(study_id)
        if series_uid is None:
            return path, None
        listed = (self._listed or {}).get(study_id)
        study_uid, slices = self._study_uid(study_id), listed.slices if listed else 0
        if self.cache.is_here(series_uid):
            self.checks.run(study_id, partial(self._check, study_id, study_uid, path, slices))
        try:
            fetched = self.cache.bring(study_uid, series_uid, slices)
        except ImageNotFoundException:
            self._forget(study_id)
            raise
        if fetched:
            self.checks.note(study_id)
            self._expect_label(study_id)
            self._take_in_label(study_id, study_uid, path)
        return path, series_uid

    def _check(self, study_id: str, study_uid: str, path: Path, slices: int) -> None:
        """Ask the archive what it has by now of a study that is open, and take it in."""
        try:
            if self.cache.check(study_uid, study_id, slices):
                self._expect_label(study_id)
        finally:
            self._take_in_label(study_id, study_uid, path)

    def _study_uid(self, study_id: str) -> str:
        with self._lock:
            entry = self._datastore.objects.get(study_id)
        if entry is None:
            raise ImageNotFoundException(f"the archive {self.archive.url} has no PET series {study_id!r} any more")
        return str(entry.image.info["about"]["study_uid"])

    def series_of_study(self, study_uid: str) -> list[str]:
        """The PET series known of a study, by its StudyInstanceUID."""
        return [series.uid for series in (self._listed or {}).values() if series.study_uid == study_uid]

    def list_images(self) -> list[str]:
        self._look_for_series()
        return list(super().list_images())

    def json(self) -> Any:
        self._look_for_series()
        return super().json()

    def status(self) -> dict[str, Any]:
        self._look_for_series()
        return dict(super().status())

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Image and label of every study with a final label; their series are fetched."""
        for study_id in self.get_labeled_images():
            self.source(study_id)
        return list(super().datalist(full_path))

    def remove_image(self, image_id: str) -> None:
        """Refused for a series of the archive.

        Raises:
            BadRequest: a series of the archive.
        """
        with self._lock:
            entry = self._datastore.objects.get(image_id)
        if entry is not None and entry.image.ext == DICOM:
            raise BadRequest(f"{image_id!r} is a series of the archive, which this server does not remove")
        super().remove_image(image_id)

    # --- labels

    def _expect_label(self, study_id: str) -> None:
        if self._label(study_id, FINAL) is None:  # else it was taken in, or saved here
            self._intake.expect(study_id)

    def _take_in_label(self, study_id: str, study_uid: str, path: Path) -> str:
        return self._intake.take_in(study_id, study_uid, lambda: self.volumes.study(path, study_id)[0])

    def _final_label(self, study_id: str, volume: PetVolume) -> tuple[dict[str, Any], NDArray[np.int16]] | None:
        known = self._label(study_id, FINAL)
        return None if known is None else (known.info, self._kept_voxels(study_id, FINAL, known, volume))

    def _keep_final(self, study_id: str, label: LabelMap, info: dict[str, Any], volume: PetVolume) -> None:
        self._keep(study_id, FINAL, label, info, volume, self._quality(FINAL, info))

    def _keep(
        self, study_id: str, tag: str, label: LabelMap, label_info: dict[str, Any], volume: PetVolume, quality: str
    ) -> list[dict[str, str]]:
        with self._intake.keeping[study_id]:
            return super()._keep(study_id, tag, label, label_info, volume, quality)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Take a label out here; the archive's copies stay there, and do not come back by themselves."""
        super().remove_label(label_id, label_tag)
        if tag_text(label_tag) == FINAL:
            self._intake.forgo(label_id)

    def keep_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Keep a label here, and send a final one to the archive as a DICOM SEG of its targets, and their SR.

        Raises:
            HTTPException: 502 where no SEG can be made of it or the archive does not take it; the label is kept here
                all the same.
        """
        study_id = super().keep_label(image_id, label_filename, label_tag, label_info)
        self._send_final(study_id, tag_text(label_tag))
        return study_id

    def save_target(
        self, image_id: str, tag: str, mask: NDArray[np.bool_], said: dict[str, Any]
    ) -> list[dict[str, str]]:
        """Keep a target here, and send the label with it, as `save_label` does."""
        changed = super().save_target(image_id, tag, mask, said)
        self._send_final(self.study_id(image_id), tag)
        return changed

    def remove_target(self, image_id: str, tag: str, name: str, said: dict[str, Any]) -> None:
        """Take a target out here, and send what is left; no SEG can say that nothing is."""
        super().remove_target(image_id, tag, name, said)
        self._send_final(self.study_id(image_id), tag)

    def _send_final(self, study_id: str, tag: str) -> None:
        with self._lock:
            dicom = self._datastore.objects[study_id].image.ext == DICOM
        if dicom and tag == FINAL:
            self._send_seg(study_id, tag)

    def _send_seg(self, study_id: str, tag: str) -> None:
        """Send the label as it is now, one SEG of a study after the other, and note where it went.

        None is sent before the archive's own label is known: the newest would hide what stands in that alone.
        """
        path, series_uid = self.source(study_id)
        volume = self.volumes.study(path, series_uid)[0]
        unknown = self._take_in_label(study_id, self._study_uid(study_id), path)
        with self._sending[study_id], tempfile.TemporaryDirectory(prefix="seganypet-") as folder:
            label, info = self._copy_of_label(study_id, tag, Path(folder))
            if "problem" not in info.get("seg", {"problem": "not sent yet"}):
                return  # nothing was changed, and this label's SEG arrived before
            try:
                files = write_label(label, info, volume, Path(folder), with_sr=self.send_sr)
                if not files:
                    return  # nothing is left of the label, which a SEG cannot say
                seg = {"problem": unknown} if unknown else self.archive.store(*files)
            except (requests.RequestException, OSError, ValueError) as error:
                seg = {"problem": trouble(error)}
            self._note_seg(study_id, tag, label, info, seg)
        if "problem" in seg:
            raise HTTPException(502, f"the label is kept on this server, but not in the archive: {seg['problem']}")

    def _note_seg(self, study_id: str, tag: str, sent: Path, info: dict[str, Any], seg: dict[str, str]) -> None:
        """Say of a label where its SEG went; not of one that was saved while that travelled, which took seconds."""
        with self._newest_index():
            known = self._label(study_id, tag)
            if known is None or known.info.get("label_info") != info.get("label_info"):
                return
            if filecmp.cmp(sent, self._label_file(study_id, tag, known), shallow=False):
                self.add_label_info(study_id, tag, {"seg": seg})

    def _copy_of_label(self, study_id: str, tag: str, folder: Path) -> tuple[Path, dict[str, Any]]:
        """A label's file and what is said of it, of one and the same save.

        Raises:
            LabelNotFoundException: it was removed meanwhile.
        """
        with self._newest_index():
            known = self._label(study_id, tag)
            if known is None:
                raise LabelNotFoundException(f"there is no label of study {study_id!r} with tag {tag!r} any more")
            copied = shutil.copy(self._label_file(study_id, tag, known), folder)
        return Path(copied), known.info

    # --- the index

    def refresh(self) -> None:
        """Take in the archive's list; what was known before where it does not answer."""
        said = ""
        try:
            self._listed = {series.uid: series for series in self.archive.pet_series()}
        except (requests.RequestException, OSError) as error:
            said = trouble(error)
            logger.warning("%s: %s; studies may be missing: %s", self.archive.url, said, error)
        super().refresh()
        self._trouble = said

    def _find_series(self) -> list[SeriesFolder]:
        return [self._folder_of(series) for series in (self._listed or {}).values()]

    def _folder_of(self, series: ArchiveSeries) -> SeriesFolder:
        folder = f"{SERIES}/{series.uid}"
        (self.root / folder).mkdir(exist_ok=True)  # empty until somebody opens it
        return SeriesFolder(series.uid, folder, series.uid, {**series.about, "study_uid": series.study_uid})

    def _add_non_existing_images(self) -> int:
        """Take in what the archive lists, and drop what it does not list any more."""
        changed = int(super()._add_non_existing_images())
        if self._listed is not None:
            objects: dict[str, ImageLabelModel] = self._datastore.objects
            for study_id in [name for name, entry in objects.items() if entry.image.ext == DICOM]:
                if study_id not in self._listed:
                    del objects[study_id]
                    changed += 1
        return changed

    def _look_for_series(self) -> None:
        """See what came since; who asks waits for an archive that hangs no longer than a click does."""
        self._lists.run("", self.refresh)

    def _forget(self, study_id: str) -> None:
        self.cache.forget(study_id)
        with self._lock:
            self._listed = {uid: one for uid, one in (self._listed or {}).items() if uid != study_id}
            self._series = [self._folder_of(one) for one in self._listed.values()]
            self._reconcile_datastore()
