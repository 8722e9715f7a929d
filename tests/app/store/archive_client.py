"""DICOMweb clients without an archive."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import requests
from pydicom import dcmread
from pydicom.dataset import Dataset
from small_studies import DICOM_AFFINE, hot_block

from seganypet.pet import write_pet_dicom_series


class Client:
    """Lists PET series, while it is there."""

    base_url = "http://archive/dicom-web"

    def __init__(self) -> None:
        self.away, self.series = False, ["1.2.1"]
        self.says: dict[str, dict[str, object]] = {}  # of a series, where it is asked for

    def search_for_series(self, study_uid=None, *, search_filters, fields, offset=None) -> list[dict]:
        if self.away:
            raise requests.ConnectionError("refused")
        if search_filters["Modality"] != "PT":
            return []
        wanted = search_filters.get("SeriesInstanceUID")
        return [self._json(uid, fields) for uid in self.series[offset or 0 :] if wanted in (None, uid)]

    def retrieve_instance_metadata(self, study_uid, series_uid, sop_uid) -> dict:
        raise requests.ConnectionError("refused")

    def _json(self, uid: str, fields: Collection[str]) -> dict:
        one = Dataset()
        one.SeriesInstanceUID, one.StudyInstanceUID, one.Modality = uid, "1.2", "PT"
        for keyword, value in self.says.get(uid, {}).items():
            if keyword in fields:
                setattr(one, keyword, value)
        return one.to_json_dict()


class SeriesClient:
    """Has a PET series and DICOM SEGs as files, and takes more SEGs.

    Args:
        folder: for the files of the series.
        counted: whether it lists how many instances the series has.
    """

    base_url = "http://archive/dicom-web"
    study_uid = "1.2.826.1"

    def __init__(self, folder: Path, *, counted: bool = True) -> None:
        self.files = write_pet_dicom_series(hot_block(), DICOM_AFFINE, folder)
        self.uid = str(dcmread(self.files[0]).SeriesInstanceUID)
        self.counted, self.listed = counted, True
        self.segs: dict[str, Path] = {}
        self.taken: list[Dataset] = []
        self.asked: list[str] = []  # what was asked, in order
        self.away: set[str] = set()  # what is not answered
        self.says: dict[str, object] = {}  # of the headers, other than the files say

    def correct(self, **fields: object) -> None:
        """Change headers under the same UIDs."""
        for file in self.files:
            header = dcmread(file)
            for keyword, value in fields.items():
                setattr(header, keyword, value)
            header.save_as(file)

    def search_for_series(self, study_uid=None, *, search_filters, fields, offset=None) -> list[dict]:
        is_pet = search_filters["Modality"] == "PT"
        self._ask("list" if is_pet else "segs")
        if not is_pet:
            return [self._series(uid, "SEG") for uid in self.segs]
        return [self._series(self.uid, "PT")] if self.listed and not offset else []

    def search_for_instances(self, study_uid, uid, offset=None) -> list[dict]:
        self._ask("instances")
        return [dcmread(file, stop_before_pixels=True).to_json_dict() for file in self.files[offset or 0 :]]

    def retrieve_instance_metadata(self, study_uid, uid, sop_uid) -> dict:
        self._ask("header")
        found = [header for header in map(dcmread, self.files) if header.SOPInstanceUID == sop_uid][0]  # noqa: RUF015
        for keyword, value in self.says.items():
            setattr(found, keyword, value)
        return found.to_json_dict()

    def iter_series(self, study_uid, uid) -> Iterator[Dataset]:
        self._ask("files")
        files = [self.segs[uid]] if uid in self.segs else self.files
        for number, file in enumerate(files):
            if number == len(files) // 2:
                self._ask("rest")
            yield dcmread(file)

    def store_instances(self, datasets, study_instance_uid) -> Dataset:
        self._ask("store")
        self.taken += datasets
        return Dataset()

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.away or "all" in self.away:
            raise requests.ConnectionError("refused")

    def _series(self, uid: str, modality: str) -> dict:
        one = Dataset()
        one.SeriesInstanceUID, one.StudyInstanceUID, one.Modality = uid, self.study_uid, modality
        if self.counted and modality == "PT":
            one.NumberOfSeriesRelatedInstances = len(self.files)
        return one.to_json_dict()
