"""An archive that does not answer: the server starts, and says what is wrong."""

from __future__ import annotations

import socket

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


def test_a_name_that_is_no_uid_is_not_asked_for(store):
    with pytest.raises(Exception, match=r"no PET series 'liver'"):
        store.source("liver")
