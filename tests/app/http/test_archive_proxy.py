"""What is stored in the archive through the server goes there with the server's credentials: who may, and how much."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lib.http import archive_proxy
from lib.store.archive_store import ArchiveStore
from lib.store.volumes import Volumes
from monailabel.config import settings
from monailabel.endpoints.user.auth import User
from one_series_archive import OneSeries

USER, ANNOTATOR = settings.MONAI_LABEL_AUTH_ROLE_USER, settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR
STOW = "/proxy/dicom/stow/studies"


class Asked(OneSeries):
    """An archive that remembers what it was asked, and answers with nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[tuple[str, bytes | None]] = []
        self.status = 200

    def session(self) -> SimpleNamespace:
        return SimpleNamespace(request=self._request)

    def _request(self, method: str, url: str, *, data: bytes | None, **more: object) -> requests.Response:
        self.asked.append((method, data))
        answer = requests.Response()
        answer.status_code, answer.raw = self.status, io.BytesIO(b"{}")
        return answer


@pytest.fixture
def archive(tmp_path) -> Asked:
    return Asked(tmp_path / "archive")


@pytest.fixture
def client(archive, tmp_path, monkeypatch) -> Iterator[TestClient]:
    store = ArchiveStore(archive, tmp_path / "cache", Volumes(10**9))
    monkeypatch.setattr(archive_proxy, "app_instance", lambda: SimpleNamespace(datastore=lambda: store))
    monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_ENABLE", True)
    app = FastAPI()
    app.include_router(archive_proxy.router)
    app.dependency_overrides[archive_proxy.READER.dependency] = lambda: User(username="ann", roles=roles)
    roles = [USER]
    with TestClient(app) as client:
        client.roles = roles
        yield client


def test_who_may_not_save_labels_stores_nothing_in_the_archive(client, archive):
    for path in (STOW, "/proxy/dicom/studies", "/proxy/dicom/qido/studies"):
        refused = client.post(path, content=b"dicom")
        assert (refused.status_code, ANNOTATOR in refused.json()["detail"]) == (403, True)
    assert archive.asked == []
    assert client.get("/proxy/dicom/qido/studies").status_code == 200
    client.roles.append(ANNOTATOR)
    assert client.post(STOW, content=b"dicom").status_code == 200
    assert archive.asked == [("GET", None), ("POST", b"dicom")]


def test_a_reader_is_not_told_that_her_login_is_wrong_where_it_is_the_servers(client, archive):
    archive.status = 401
    refused = client.get("/proxy/dicom/qido/studies")
    assert (refused.status_code, "refuses this server's login (401)" in refused.json()["detail"]) == (502, True)


def test_no_more_is_taken_into_memory_than_a_seg_needs(client, archive, monkeypatch):
    client.roles.append(ANNOTATOR)
    monkeypatch.setattr(archive_proxy, "MOST_STORED", 2**20)
    assert client.post(STOW, content=b"x" * 2**20).status_code == 200
    refused = client.post(STOW, content=b"x" * (2**20 + 1))
    assert (refused.status_code, "more than 1 MB" in refused.json()["detail"]) == (413, True)
    assert len(archive.asked) == 1
