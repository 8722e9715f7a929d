"""An archive that goes away and comes back: what was known stays, and what came meanwhile is listed."""

from __future__ import annotations

import pytest
import requests
from archive_client import Client
from lib.store.archive import Archive
from lib.store.archive_store import ArchiveStore
from lib.store.volumes import Volumes


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
