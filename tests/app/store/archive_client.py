"""A DICOMweb client without an archive."""

from __future__ import annotations

import requests
from pydicom.dataset import Dataset


class Client:
    """Lists PET series, while it is there."""

    base_url = "http://archive/dicom-web"

    def __init__(self) -> None:
        self.away, self.series = False, ["1.2.1"]

    def search_for_series(self, search_filters, fields, offset=None) -> list[dict]:
        if self.away:
            raise requests.ConnectionError("refused")
        wanted = search_filters.get("SeriesInstanceUID")
        return [self._json(uid) for uid in self.series[offset or 0 :] if wanted in (None, uid)]

    def _json(self, uid: str) -> dict:
        one = Dataset()
        one.SeriesInstanceUID, one.StudyInstanceUID, one.Modality = uid, "1.2", "PT"
        return one.to_json_dict()
