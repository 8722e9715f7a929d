"""An archive that does not answer: the server starts, and says what is wrong."""

from __future__ import annotations

import socket
import threading
import time

import pytest
import requests
from archive_client import Client
from lib.http.health import store_troubles
from lib.store.archive import Archive
from lib.store.archive_store import ArchiveStore
from lib.store.volumes import Volumes


@pytest.fixture
def store(tmp_path) -> ArchiveStore:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/dicom-web"
    return ArchiveStore(Archive.open(url), tmp_path, Volumes(10**9))


def answered_with(status: int) -> requests.HTTPError:
    answer = requests.Response()
    answer.status_code = status
    return requests.HTTPError(response=answer)


def test_the_store_opens_empty_and_names_the_archive(store):
    assert store.list_images() == []
    assert store.name().endswith("/dicom-web")
    assert store.status()["total"] == 0


def test_a_study_asked_for_is_no_internal_error(store):
    with pytest.raises(requests.RequestException):  # the server answers 502
        store.source("1.2.3")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (answered_with(401), "refuses this server's login (401): see MONAI_LABEL_DICOMWEB_USERNAME"),
        (answered_with(503), "answers with an error of its own (503)"),
        (requests.exceptions.SSLError("self-signed certificate"), "in REQUESTS_CA_BUNDLE"),
        (requests.ConnectionError("HTTPConnectionPool(host='archive')"), "the archive does not answer"),
        (requests.ReadTimeout("read timeout=120"), "the archive does not answer"),
        (requests.RequestException("the archive sent 2 of 3"), "the archive sent 2 of 3"),
    ],
)
def test_what_is_wrong_with_an_archive_is_said_in_words(tmp_path, error, said):
    class Ailing(Client):
        def search_for_series(self, *_, **__):
            raise error

    store = ArchiveStore(Archive(Ailing()), tmp_path, Volumes(10**9))
    assert said in store.trouble
    assert list(store_troubles(store)) == [store.trouble]


def test_nobody_waits_for_an_archive_that_hangs(tmp_path):
    let = threading.Event()

    class Hanging(Client):
        def search_for_series(self, *_, **more):
            assert let.wait(60)
            return super().search_for_series(*_, **more)

    begun = time.monotonic()
    store = ArchiveStore(Archive(Hanging()), tmp_path, Volumes(10**9))
    assert (store.list_images(), store.trouble) == ([], "the archive has not answered yet")
    assert time.monotonic() - begun < 10
    let.set()
    while store.trouble and time.monotonic() - begun < 60:
        time.sleep(0.05)
    assert store.list_images() == ["1.2.1"]


def test_health_asks_an_archive_again_that_nobody_lists(tmp_path):
    client = Client()
    store = ArchiveStore(Archive(client), tmp_path, Volumes(10**9))
    assert list(store_troubles(store)) == []
    client.away, store._lists.every_s = True, 0.0
    assert list(store_troubles(store)) == ["the archive does not answer"]


def test_a_name_that_is_no_uid_is_not_asked_for(store):
    with pytest.raises(Exception, match=r"no PET series 'liver'"):
        store.source("liver")
