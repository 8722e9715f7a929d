"""Orthanc, the server, a browser and the tests themselves in one network namespace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from network_namespace import NetworkNamespace, network_namespace
from orthanc import Orthanc, running_orthanc


@pytest.fixture(scope="session")
def namespace() -> Iterator[NetworkNamespace]:
    with network_namespace() as made:
        yield made


@pytest.fixture(autouse=True)
def _inside(namespace: NetworkNamespace) -> Iterator[None]:
    with namespace.entered():
        yield


@pytest.fixture(scope="session")
def orthanc(namespace: NetworkNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with namespace.entered(), running_orthanc(tmp_path_factory.mktemp("orthanc")) as archive:
        yield archive
