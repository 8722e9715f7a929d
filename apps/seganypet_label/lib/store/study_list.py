"""The studies of a folder: NIfTI files and DICOM PET series side by side.

MONAI Label's own store shows files only; this one lists DICOM series too, and copies over nothing.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from monailabel.datastore.local import DataModel, ImageLabelModel
from monailabel.interfaces.exception import ImageNotFoundException

from lib.store.bad_request import BadRequest
from lib.store.kept_files import keep, put_aside, remove_drafts
from lib.store.kept_text import check_kept
from lib.store.names import IMAGE_EXTENSIONS, extension_of, is_study_id
from lib.store.owned_keys import DICOM, check_image_info, is_folder_inside
from lib.store.series_folders import SeriesFolder, find_series_folders
from lib.store.shared_index import SharedIndex
from lib.store.volumes import Volumes, write_study_nifti
from seganypet.pet import PetVolume
from seganypet.whole_file import whole_file

logger = logging.getLogger(__name__)

NO_STUDIES = ("labels",)
LOOK_EVERY_S = 5.0  # walking through thousands of DICOM files takes a while


class StudyList(SharedIndex):
    """The studies of a folder, without the keeping of labels.

    Args:
        folder: the studies folder.
        volumes: where studies are read from.
        auto_reload: follow files that others put there.
    """

    def __init__(self, folder: str, volumes: Volumes, *, auto_reload: bool = True) -> None:
        self.volumes = volumes
        self._converting = threading.Lock()
        self._looked = 0.0
        self._series: list[SeriesFolder] | None = None  # looked for once the index is known, which names them
        patterns = tuple(f"*{extension}" for extension in IMAGE_EXTENSIONS)
        super().__init__(folder, extensions=patterns, auto_reload=auto_reload)
        if not self.read_only:
            remove_drafts(self.root)

    def study_id(self, name: str) -> str:
        """The id of a study given by its id or by its SeriesInstanceUID.

        Raises:
            ImageNotFoundException: there is no such study.
        """
        for look in (self._look_for_series, None):
            with self._lock:
                if name in self._datastore.objects:
                    return name
                for study_id, entry in self._datastore.objects.items():
                    if name and entry.image.info.get("series_uid") == name:
                        return study_id
            if look:
                look()
        raise ImageNotFoundException(f"there is no study {name!r}")

    def source(self, name: str) -> tuple[Path, str | None]:
        """Where a study's files are: a NIfTI file and None, or a folder and the series' UID.

        Raises:
            ImageNotFoundException: there is no such study, or none in the studies folder.
        """
        study_id = self.study_id(name)
        with self._lock:
            entry = self._datastore.objects[study_id].image
            if entry.ext == DICOM and not is_folder_inside(entry.info["folder"]):
                raise ImageNotFoundException(f"the files of study {study_id!r} are not in the studies folder")
            path = self.root / self._filename(study_id, entry.ext)
            return path, entry.info["series_uid"] if entry.ext == DICOM else None

    def volume(self, name: str) -> PetVolume:
        """A study's voxels.

        Raises:
            ImageNotFoundException: as `source`.
            ValueError: its files cannot be read as PET.
        """
        return self.volumes.study(*self.source(name))[0]

    def get_image_uri(self, image_id: str) -> str:
        """The file a client downloads: of a DICOM series a NIfTI on the grid that clicks refer to; "" if unknown."""
        try:
            path, series_uid = self.source(image_id)
        except ImageNotFoundException:
            return ""
        if series_uid is None:
            return str(path.resolve())
        file = self.scratch / "images" / f"{self.study_id(image_id)}.nii.gz"
        made_of = file.with_name(f"{file.name}.made_of")
        with self._converting:
            # by content: a header that was corrected in place changes the SUV, and no folder's time
            volume = self.volumes.study(path, series_uid)[0]
            if not (file.exists() and made_of.exists() and made_of.read_text() == volume.content_hash):
                with whole_file(file) as draft:
                    write_study_nifti(volume, draft)
                keep(volume.content_hash.encode(), made_of)
        return str(file)

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What the index knows of a study; `path` only where it is one file."""
        try:
            study_id = self.study_id(image_id)
        except ImageNotFoundException:
            return {}
        with self._lock:
            entry = self._datastore.objects[study_id].image
            info = json.loads(json.dumps(entry.info, default=str))
            if entry.ext != DICOM:
                info["path"] = str((self.root / self._filename(study_id, entry.ext)).resolve())
            return info

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Keep an uploaded NIfTI as a study.

        Raises:
            BadRequest: a name that is none, a file that cannot be read as PET, or info that is the server's to say.
            FileExistsError: another image has that name.
        """
        check_image_info(image_info or {})
        check_kept(image_info, "what is said of the image")
        extension = extension_of(image_filename, IMAGE_EXTENSIONS)
        if extension is None:
            raise BadRequest(f"an image is a file {', '.join(IMAGE_EXTENSIONS)}, got {Path(image_filename).name!r}")
        image_id = image_id or Path(image_filename).name[: -len(extension)]
        if not is_study_id(image_id):
            raise BadRequest(f"image must be a plain name without a path, got {image_id!r}")
        target = self.root / f"{image_id}{extension}"
        try:
            content = self.volumes.upload(Path(image_filename))[0].content_hash
        except ValueError as error:
            raise BadRequest(f"the image cannot be read: {error}") from None
        with self._newest_index():
            if image_id in self._datastore.objects:
                if self.volume(image_id).content_hash == content:
                    return image_id
                raise FileExistsError(f"there is another image {image_id!r}; upload under a new name")
            keep(Path(image_filename).read_bytes(), target)
            info = {**(image_info or {}), "ts": int(time.time()), "name": target.name}
            self._datastore.objects[image_id] = ImageLabelModel(image=DataModel(info=info, ext=extension))
            self._update_datastore_file()
        return image_id

    def remove_image(self, image_id: str) -> None:
        """Take a NIfTI study and its labels out of the store; the files move to .seganypet/removed.

        Raises:
            ImageNotFoundException: there is no such study.
            BadRequest: a DICOM series, which only its owner removes.
        """
        path, series_uid = self.source(image_id)
        if series_uid is not None:
            raise BadRequest(
                f"{image_id!r} is a DICOM series; remove its folder by hand, the server deletes no archive"
            )
        with self._newest_index():
            for tag in list(self._datastore.objects[image_id].labels):
                self.remove_label(image_id, tag)
            put_aside(self.root, path, "removed")
            del self._datastore.objects[image_id]
            self._update_datastore_file()

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add what a client says of an image.

        Raises:
            ImageNotFoundException: there is no such study.
            BadRequest: info that is the server's to say.
        """
        check_image_info(info)
        check_kept(info, "what is said of the image")
        with self._newest_index():
            super().update_image_info(image_id, info)

    # --- the index

    def _filename(self, id: str, ext: str) -> str:
        return self._datastore.objects[id].image.info["folder"] if ext == DICOM else f"{id}{ext}"

    def _add_non_existing_images(self) -> int:
        added = 0
        self._init_from_datastore_file()
        objects = self._datastore.objects
        for file in sorted(os.listdir(self.root)):
            extension = extension_of(file, IMAGE_EXTENSIONS)
            study_id = file[: -len(extension)] if extension else ""
            if extension and is_study_id(study_id) and study_id not in objects and (self.root / file).is_file():
                info = {"ts": int(time.time()), "name": file}
                objects[study_id] = ImageLabelModel(image=DataModel(info=info, ext=extension))
                added += 1
        if self._series is None:
            self._series = self._find_series()
        for series in self._series:
            known = objects.get(series.study_id)
            if known is not None and known.image.ext != DICOM:
                logger.warning("%s is a NIfTI and a DICOM series; the NIfTI is listed", series.study_id)
            elif known is None or known.image.info.get("series_uid") != series.series_uid:
                for tag, label in known.labels.items() if known else ():  # another series lies in that folder now
                    for extension in (label.ext, ".json"):
                        put_aside(self.root, self.root / "labels" / tag / f"{series.study_id}{extension}", "replaced")
                info = {
                    "ts": int(time.time()),
                    "name": f"{series.study_id}.nii.gz",
                    "folder": series.folder,
                    "series_uid": series.series_uid,
                    "about": dict(series.about),
                }
                objects[series.study_id] = ImageLabelModel(image=DataModel(info=info, ext=DICOM))
                added += 1
            else:
                now = {"folder": series.folder, "about": dict(series.about)}  # may have been corrected, or moved
                if not now.items() <= known.image.info.items():
                    known.image.info.update(now)
                    added += 1
        return added

    def _look_for_series(self) -> None:
        """See what came since; nobody is told when a folder of DICOM files appears."""
        if time.monotonic() - self._looked > LOOK_EVERY_S:
            self._looked = time.monotonic()
            self.refresh()

    def refresh(self) -> None:
        """Take in what others put into the folder or took away."""
        self._series = self._find_series()  # slow, so not under the lock
        self._reconcile_datastore()

    def _find_series(self) -> list[SeriesFolder]:
        index = getattr(self, "_datastore", None)  # not there yet while this object is made
        known = {
            study: str(entry.image.info["series_uid"])
            for study, entry in (index.objects.items() if index is not None else ())
            if entry.image.ext == DICOM and "series_uid" in entry.image.info
        }
        return find_series_folders(self.root, skip=NO_STUDIES, known=known)
