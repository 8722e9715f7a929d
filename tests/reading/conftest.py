"""A real server with the embedded weights, and its reading page in a real browser."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest
import requests
from chromium import chromium_page
from reading_page import ReadingPage
from reading_studies import TURNED, body, coded
from running_server import APP, REPO, Server, start_server

from seganypet.inference import ClickSegmenter
from seganypet.networks import load_network
from seganypet.pet import SyntheticPatient, write_pet_dicom_series

sys.path.insert(0, str(APP))


@pytest.fixture(scope="session")
def reading_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Studies: `coded` (NIfTI, turned), `becquerel` (no SUV), `ann` (DICOM)."""
    folder = tmp_path_factory.mktemp("reading")
    studies = folder / "studies"
    studies.mkdir()
    nib.save(nib.Nifti1Image(coded(), TURNED), studies / "coded.nii.gz")
    nib.save(nib.Nifti1Image(coded() * 5000, TURNED), studies / "becquerel.nii.gz")
    suv, affine = body()
    patient = SyntheticPatient(name="Doe^Ann", patient_id="PET-77")
    write_pet_dicom_series(suv, affine, studies / "ann", patient=patient)
    sarcoma = REPO.parent / "shared" / "data" / "sts_001" / "dicom"
    if sarcoma.is_dir():
        (studies / "sts_001").symlink_to(sarcoma)
    yield from start_server(folder, studies)


@pytest.fixture(scope="session")
def segmenter() -> ClickSegmenter:
    return ClickSegmenter(load_network(REPO / "bundle" / "models" / "model.pt"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A page of a browser, one for the tests of a file."""
    with chromium_page(1366, 768) as page:
        page.on("dialog", lambda dialog: dialog.accept())  # what is not saved is left
        yield page


@pytest.fixture
def reading(browser: Any, reading_server: Server) -> Iterator[Any]:
    """Opens a study's page; no script error may have happened when the test ends."""
    opened: list[ReadingPage] = []

    def open_study(study: str) -> ReadingPage:
        opened.append(ReadingPage(browser, f"{reading_server.url}/read/{study}"))
        return opened[-1]

    yield open_study
    assert [error for page in opened for error in page.errors] == []


@pytest.fixture
def clean(reading_server: Server) -> Iterator[Path]:
    """A studies folder without labels, also former ones, whatever the tests before saved."""
    folder = Path(reading_server.studies)
    yield folder
    for study in ("ann", "coded"):
        requests.delete(f"{reading_server.url}/datastore/label?id={study}&tag=final", timeout=30)
    for why in ("replaced", "removed"):
        shutil.rmtree(folder / ".seganypet" / why, ignore_errors=True)
