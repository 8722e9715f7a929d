"""A DICOMweb archive as this app uses it: which PET series there are, their files, and SEG sent back."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from dicomweb_client.ext.gcp.session_utils import create_session_from_gcp_credentials
from dicomweb_client.session_utils import create_session_from_user_pass
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMwebClientX
from monailabel.interfaces.exception import ImageNotFoundException
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from seganypet.pet.series_listing import KIND, pet_problem

logger = logging.getLogger(__name__)

UID = re.compile(r"[0-9][0-9.]{0,63}")
TIMEOUT_S = (5.0, 120.0)  # to connect, and between two bytes of an answer
NOT_THERE = (400, 404, 410)
NO_SEARCH = (*NOT_THERE, 401, 403, 405, 501)  # an archive that cannot search a study has nothing to be found in it
SOP_UID = "00080018"
PET = "PT"
FIELDS = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "SeriesDescription",
    "StudyDescription",
    "StudyDate",
    "PatientID",
    "PatientName",
    "NumberOfSeriesRelatedInstances",
    *KIND[1:],  # an archive may leave them out
)


@dataclass(frozen=True)
class ArchiveSeries:
    """One PET series as the archive lists it.

    Args:
        uid: SeriesInstanceUID.
        study_uid: StudyInstanceUID.
        slices: how many instances the archive says it has; 0 where it does not say.
        about: patient, date and description, for people.
        problem: why it is no static, attenuation-corrected PET; None where it is, or the archive does not say.
    """

    uid: str
    study_uid: str
    slices: int
    about: Mapping[str, str]
    problem: str | None = None


class Archive:
    """A client of one archive.

    Args:
        client: speaks DICOMweb.
        search_filter: further matching keys of a search, DICOM keyword → value.
    """

    def __init__(self, client: DICOMwebClient, search_filter: Mapping[str, Any] | None = None) -> None:
        self._client = client
        self._filter = {**(search_filter or {}), "Modality": PET}
        self.url = str(client.base_url)
        self._passed_over: set[str] = set()

    @classmethod
    def open(cls, url: str) -> Archive:
        """The archive of MONAI Label's settings; nothing is asked yet.

        MONAI Label's own default, a search for CT, finds no PET: Modality is always PT here.
        """
        user, password = settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
        if "googleapis.com" in url:
            session = create_session_from_gcp_credentials()
        elif user and password:
            session = create_session_from_user_pass(user, password)
        else:
            session = requests.Session()
        session.request = partial(session.request, timeout=TIMEOUT_S)  # type: ignore[method-assign]
        client = DICOMwebClientX(
            url=url.rstrip("/"),
            session=session,
            qido_url_prefix=settings.MONAI_LABEL_QIDO_PREFIX,
            wado_url_prefix=settings.MONAI_LABEL_WADO_PREFIX,
            stow_url_prefix=settings.MONAI_LABEL_STOW_PREFIX,
        )
        # a status that is tried again would come as no RequestException in the end: connections alone are
        client.set_http_retry_params(
            retry=True, max_attempts=2, wait_exponential_multiplier=200, retriable_error_codes=()
        )
        return cls(client, settings.MONAI_LABEL_DICOMWEB_SEARCH_FILTER)

    def session(self) -> requests.Session:
        """What speaks HTTP with the archive, with its credentials."""
        session: requests.Session = self._client._session
        return session

    def pet_series(self) -> list[ArchiveSeries]:
        """The PET series that can be read, as far as the archive says it; the log names the others, once.

        Raises:
            requests.RequestException: the archive does not answer.
        """
        found = list(self._search(self._filter))
        for one in found:
            if one.problem and one.uid not in self._passed_over:
                self._passed_over.add(one.uid)
                logger.info("not listed: series %s: %s", one.uid, one.problem)
        return [one for one in found if one.problem is None]

    def one_series(self, uid: str) -> ArchiveSeries | None:
        """The PET series of a UID, or None.

        Raises:
            requests.RequestException: the archive does not answer.
        """
        if not UID.fullmatch(uid):
            return None
        found = self._search({**self._filter, "SeriesInstanceUID": uid})
        return next((series for series in found if series.uid == uid), None)

    def fetch(self, study_uid: str, uid: str, folder: Path, *, listed: int = 0) -> int:
        """The files of a series, in a folder that appears only when they are all there.

        Args:
            folder: replaced then if it exists; `uid` is its name.
            listed: how many the archive says there are; 0 where it does not say.

        Returns:
            How many files.

        Raises:
            ImageNotFoundException: the archive does not have it any more.
            requests.RequestException: the archive does not answer, or sends a part of what it lists.
        """
        partial_folder = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial_folder, ignore_errors=True)
        partial_folder.mkdir(parents=True)
        sent: set[str] = set()  # one instance may come twice
        try:
            for instance in self._client.iter_series(study_uid, uid):
                sop_uid = str(instance.get("SOPInstanceUID", ""))
                if not UID.fullmatch(sop_uid):
                    raise ImageNotFoundException(f"the archive sent an instance of {uid} without a valid UID")
                instance.save_as(partial_folder / f"{sop_uid}.dcm", write_like_original=False)
                sent.add(sop_uid)
        except requests.HTTPError as error:
            if not _says(error, NOT_THERE):
                raise
        finally:
            if not sent or len(sent) < listed:
                shutil.rmtree(partial_folder, ignore_errors=True)
        if not sent:
            raise ImageNotFoundException(f"the archive {self.url} does not have series {uid} any more")
        if len(sent) < listed:
            raise requests.RequestException(
                f"the archive {self.url} sent {len(sent)} of the {listed} instances it lists of series {uid}: a part "
                "of a scan is not shown; ask again when it is whole"
            )
        _put_in_place(partial_folder, folder)
        logger.info("%s: %d files fetched", uid, len(sent))
        return len(sent)

    def header_of(self, study_uid: str, uid: str, sop_uid: str, keywords: Collection[str]) -> Dataset | None:
        """Some fields of one instance as the archive has it now; None where it does not have it any more.

        Raises:
            requests.RequestException: the archive does not answer.
        """
        wanted = {f"{tag_for_keyword(keyword):08X}" for keyword in keywords}
        try:
            said = self._client.retrieve_instance_metadata(study_uid, uid, sop_uid)
        except IndexError:  # an empty answer
            return None
        except requests.HTTPError as error:
            if not _says(error, NOT_THERE):
                raise
            return None
        return Dataset.from_json({tag: element for tag, element in said.items() if tag in wanted})

    def count(self, study_uid: str, uid: str) -> int:
        """How many instances of a series a search finds, for an archive that does not list their number.

        Raises:
            requests.RequestException: the archive does not answer.
        """
        seen: set[str] = set()
        while True:
            page = self._client.search_for_instances(study_uid, uid, offset=len(seen) or None)
            new = {str(one.get(SOP_UID, {}).get("Value", [""])[0]) for one in page} - seen
            if not new:
                return len(seen)
            seen |= new

    def segmentations(self, study_uid: str) -> list[str]:
        """The SEG series of a study, the newest first.

        Raises:
            requests.RequestException: the archive does not answer.
        """
        fields = ("SeriesDate", "SeriesTime", "Modality")
        try:
            found = self._client.search_for_series(study_uid, search_filters={"Modality": "SEG"}, fields=fields)
        except requests.HTTPError as error:
            if not _says(error, NO_SEARCH):
                raise
            return []
        series = [one for one in map(Dataset.from_json, found) if one.get("Modality", "SEG") == "SEG"]
        series.sort(key=lambda one: (str(one.get("SeriesDate") or ""), str(one.get("SeriesTime") or "")), reverse=True)
        return [uid for one in series if UID.fullmatch(uid := str(one.get("SeriesInstanceUID", "")))]

    def store(self, *files: Path) -> dict[str, str]:
        """Send DICOM files of one study together.

        Returns:
            study_uid, series_uid and sop_uid of the first.

        Raises:
            requests.RequestException: the archive does not take one of them; it is named.
        """
        datasets = [dcmread(file) for file in files]
        dataset = datasets[0]
        answer = self._client.store_instances(datasets, study_instance_uid=str(dataset.StudyInstanceUID))
        failed = answer.get("FailedSOPSequence")
        if failed:
            reason = getattr(failed[0], "FailureReason", "no reason given")
            refused = getattr(failed[0], "ReferencedSOPInstanceUID", dataset.SOPInstanceUID)
            raise requests.RequestException(f"the archive {self.url} refused {refused}: {reason}")
        return {
            "study_uid": str(dataset.StudyInstanceUID),
            "series_uid": str(dataset.SeriesInstanceUID),
            "sop_uid": str(dataset.SOPInstanceUID),
        }

    def _search(self, search_filter: Mapping[str, Any]) -> Iterator[ArchiveSeries]:
        """Page by page; an archive that ignores `offset` sends the first page again."""
        seen: set[str] = set()
        while True:
            page = self._client.search_for_series(
                search_filters=dict(search_filter), fields=FIELDS, offset=len(seen) or None
            )
            new = [one for one in map(Dataset.from_json, page) if str(one.get("SeriesInstanceUID", "")) not in seen]
            if not new:
                return
            for one in new:
                uid = str(one.get("SeriesInstanceUID", ""))
                seen.add(uid)
                if UID.fullmatch(uid) and one.get("Modality", PET) == PET:
                    yield _series(one, uid)


def trouble(error: Exception) -> str:
    """What is wrong with an archive that could not be asked, in words for people.

    Args:
        error: that asking it ended in.
    """
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        if status in (401, 403):
            return (
                f"the archive refuses this server's login ({status}): see MONAI_LABEL_DICOMWEB_USERNAME and "
                "MONAI_LABEL_DICOMWEB_PASSWORD"
            )
        return f"the archive answers with an error of its own ({status})"
    if isinstance(error, requests.exceptions.SSLError):
        return "the archive's certificate is not trusted: name a file with its authority's in REQUESTS_CA_BUNDLE"
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return "the archive does not answer"
    return str(error)


def _says(error: requests.HTTPError, codes: Collection[int]) -> bool:
    return error.response is not None and error.response.status_code in codes


def _put_in_place(new: Path, folder: Path) -> None:
    """Give a folder another's name; what had it goes then, so that who looks finds the one or the other."""
    old = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _series(found: Dataset, uid: str) -> ArchiveSeries:
    about = {
        name: str(found.get(keyword) or "")
        for name, keyword in (
            ("patient", "PatientName"),
            ("patient_id", "PatientID"),
            ("date", "StudyDate"),
            ("description", "SeriesDescription"),
            ("study_description", "StudyDescription"),
        )
    }
    slices = found.get("NumberOfSeriesRelatedInstances") or 0
    return ArchiveSeries(uid, str(found.get("StudyInstanceUID", "")), int(slices), about, pet_problem(found))
