"""An archive that does not answer: the server starts, and says what is wrong."""

from __future__ import annotations

import socket

import pytest
import requests
from lib.store.archive import Archive
from lib.store.archive_store import ArchiveStore
from lib.store.volumes import Volumes


@pytest.fixture
def store(tmp_path) -> ArchiveStore:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/dicom-web"
    return ArchiveStore(Archive.open(url), tmp_path, Volumes(10**9))


def test_the_store_opens_empty_and_names_the_archive(store):
    assert store.list_images() == []
    assert store.name().endswith("/dicom-web")
    assert store.status()["total"] == 0


def test_a_study_asked_for_is_no_internal_error(store):
    with pytest.raises(requests.RequestException):  # the server answers 502
        store.source("1.2.3")


def test_a_name_that_is_no_uid_is_not_asked_for(store):
    with pytest.raises(Exception, match=r"no PET series 'liver'"):
        store.source("liver")
