"""An archive that goes away and comes back: what was known stays, and what came meanwhile is listed."""

from __future__ import annotations

import pytest
import requests
from lib.store.archive import Archive
from lib.store.archive_store import ArchiveStore
from lib.store.volumes import Volumes
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


def test_what_was_known_stays_and_what_came_is_listed(tmp_path):
    client = Client()
    store = ArchiveStore(Archive(client), tmp_path, Volumes(10**9))
    assert (store.list_images(), store.answered) == (["1.2.1"], True)
    client.away, client.series = True, ["1.2.1", "1.2.2"]
    store.refresh()
    assert (store.list_images(), store.answered) == (["1.2.1"], False)
    with pytest.raises(requests.ConnectionError):
        store.source("1.2.2")
    client.away = False
    store.refresh()
    assert (sorted(store.list_images()), store.answered) == (["1.2.1", "1.2.2"], True)
