"""Orthanc, the server, a browser and the tests themselves in one network namespace."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from network_namespace import NetworkNamespace, network_namespace
from oblique_study import write_study
from orthanc import Orthanc, running_orthanc
from running_server import APP, REPO, Server, start_server

from seganypet.pet import read_pet

sys.path.insert(0, str(APP))


class ArchiveServer(Server):
    """A server over an archive."""

    slices: tuple[Path, ...]
    cache: Path
    fetched_at_start: list[Path]


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
    with namespace.holding(running_orthanc(tmp_path_factory.mktemp("orthanc"))) as archive:
        yield archive


@pytest.fixture(scope="session")
def study_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_study(tmp_path_factory.mktemp("study"), seed=1)


@pytest.fixture(scope="session")
def pet_series(namespace: NetworkNamespace, orthanc: Orthanc, study_files: list[Path]) -> str:
    """SeriesInstanceUID of the study in the archive."""
    with namespace.entered():
        orthanc.store(study_files)
    return str(pydicom.dcmread(study_files[0], stop_before_pixels=True).SeriesInstanceUID)


@pytest.fixture(scope="session")
def archive_server(
    namespace: NetworkNamespace,
    orthanc: Orthanc,
    pet_series: str,
    study_files: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """The app with its own weights over the archive, started as the README says."""
    if not (REPO / "bundle" / "models" / "model.pt").is_file():
        pytest.skip("the bundle's weights are missing: bundle/models/model.pt")
    starting = contextlib.contextmanager(start_server)(tmp_path_factory.mktemp("server"), orthanc.dicomweb)
    with namespace.holding(starting) as server:
        server.slices = read_pet(study_files[0].parent).source.files  # in the order of k
        (server.cache,) = (server.log.parent / "home" / ".cache" / "monailabel" / "dicom").iterdir()
        server.fetched_at_start = list(server.cache.rglob("*.dcm"))
        yield server
