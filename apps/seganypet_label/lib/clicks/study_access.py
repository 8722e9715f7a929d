"""From what a request names (a study, a session, a file it brings) to a volume."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fastapi import HTTPException, UploadFile
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import ImageNotFoundException
from monailabel.utils.sessions import Sessions

from lib.store.bad_request import BadRequest
from lib.store.datastore import StudyStore
from lib.store.names import IMAGE_EXTENSIONS, extension_of, is_session_id, is_study_id
from lib.store.volumes import Volumes
from seganypet.pet import PetVolume


@dataclass(frozen=True)
class OpenStudy:
    """A volume somebody works on.

    Args:
        name: what /info calls it.
        study_id: its id in the datastore, "" of a session's image or of a file that came with a request.
        volume: its voxels.
        at_hand: whether it was in memory before.
    """

    name: str
    study_id: str
    volume: PetVolume
    at_hand: bool


class StudyAccess:
    """Reads what requests name, through one cache.

    Args:
        datastore: the studies.
        sessions: images that clients uploaded for a while; None where sessions are switched off.
        volumes: the cache.
    """

    def __init__(self, datastore: Datastore, sessions: Sessions | None, volumes: Volumes) -> None:
        self._datastore, self._sessions, self._volumes = datastore, sessions, volumes

    def open(self, image: str, session_id: str, file: UploadFile | None) -> OpenStudy:
        """The volume a request is about; a session goes before a file, a file before a study, as in MONAI Label.

        Raises:
            HTTPException: 404 for a study or session that is not there, 400 for one that cannot be read.
        """
        try:
            if session_id:
                return self.session(session_id)
            if file is not None:
                return self.upload(file.file, file.filename or "")
            if image:
                return self.study(image)
        except (ValueError, FileNotFoundError) as error:
            raise BadRequest(f"the image cannot be read: {error}") from None
        except MemoryError:
            raise HTTPException(413, "the image does not fit into the server's memory") from None
        raise BadRequest("no image: give ?image=<study>, ?session_id=<session>, or a file with the request")

    def study(self, image: str) -> OpenStudy:
        """A study of the datastore, by its id or SeriesInstanceUID."""
        if not isinstance(self._datastore, StudyStore):
            if not is_study_id(image):
                raise HTTPException(404, f"there is no study {image!r}")
            path = Path(self._datastore.get_image_uri(image))
            volume, at_hand = self._volumes.study(path)
            return OpenStudy(image, image, volume, at_hand)
        try:
            study_id = self._datastore.study_id(image)
            path, series_uid = self._datastore.source(study_id)
        except ImageNotFoundException as error:
            raise HTTPException(404, error.msg) from None
        volume, at_hand = self._volumes.study(path, series_uid)
        return OpenStudy(study_id, study_id, volume, at_hand)

    def session(self, session_id: str) -> OpenStudy:
        """The image of a session."""
        if self._sessions is None:
            raise HTTPException(406, "sessions are switched off on this server")
        session = self._sessions.get_session(session_id) if is_session_id(session_id) else None
        if session is None:
            raise HTTPException(404, f"there is no session {session_id!r}; it may have expired")
        volume, at_hand = self._volumes.study(Path(session.image))
        return OpenStudy(f"session {session_id}", "", volume, at_hand)

    def upload(self, content: BinaryIO, filename: str) -> OpenStudy:
        """A file that came with a request; nothing of it stays on disk."""
        extension = extension_of(filename, IMAGE_EXTENSIONS)
        if extension is None:
            raise BadRequest(f"an image is a file {', '.join(IMAGE_EXTENSIONS)}, got {Path(filename).name!r}")
        with tempfile.TemporaryDirectory(prefix="seganypet-") as folder:
            path = Path(folder) / f"upload{extension}"
            with path.open("wb") as copy:
                shutil.copyfileobj(content, copy)
            volume, at_hand = self._volumes.upload(path)
        return OpenStudy(f"upload {volume.content_hash[:8]}", "", volume, at_hand)
