"""The reading page on a study of an archive: clicked, saved, and back in the archive as a DICOM SEG."""

from __future__ import annotations

import sys

import highdicom as hd
import numpy as np
import pydicom
import pytest
from chromium import chromium_page
from running_server import REPO

sys.path.insert(0, str(REPO / "tests" / "reading"))

from reading_page import ReadingPage

from seganypet.data import make_phantom
from seganypet.pet import SyntheticPatient, write_pet_dicom_series

pytestmark = pytest.mark.slow
PATIENT = SyntheticPatient(name="Phantom^Archive", patient_id="PHANTOM-31")


@pytest.fixture
def archived(orthanc, tmp_path):
    """A phantom in the archive, which is as it was afterwards."""
    phantom = make_phantom(28)
    files = write_pet_dicom_series(np.clip(phantom.suv, 0, None), phantom.affine, tmp_path / "pet", patient=PATIENT)
    before = set(orthanc.series("SEG"))
    orthanc.store(files)
    uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
    yield phantom, uid
    for series in (uid, *(set(orthanc.series("SEG")) - before)):
        orthanc.delete_series(series)


def test_a_study_of_the_archive_is_read_and_saved(archive_server, orthanc, archived, tmp_path):
    phantom, uid = archived
    kidney = phantom.mask("kidney_left")
    middle = np.argwhere(kidney).mean(0).round().astype(int)
    before = set(orthanc.series("SEG"))
    with chromium_page() as browser:
        page = ReadingPage(browser, f"{archive_server.url}/read/{uid}")
        assert "Phantom, Archive · PHANTOM-31" in browser.inner_text("#patient")
        page.click(1, middle)
        page.answered(1)
        found = page.mask(kidney.shape)
        assert 2 * (found & kidney).sum() / (found.sum() + kidney.sum()) > 0.5
        name = browser.locator("#findings input.name")
        name.fill("left kidney")
        name.press("Enter")
        page.key("Control+s")
        page.wait_for_word("Saved: left kidney")
        (sent,) = set(orthanc.series("SEG")) - before
        (file,) = orthanc.files_of(sent, tmp_path)
        seg = hd.seg.segread(file)
        assert seg.get_segment_description(1).segment_label == "left kidney"
        page.open(browser.url)
        assert "left kidney" in browser.input_value("#findings input.name")
        assert page.errors == []
