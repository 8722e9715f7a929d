"""OHIF on a plain folder of DICOM files: no archive, the same server."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest
import requests
from chromium import chromium_page
from ct_beside import write_ct
from oblique_study import AFFINE, LESION, RADIUS, SHAPE, study_suv, write_study
from ohif import Ohif
from running_server import start_server

pytestmark = pytest.mark.slow
LPS = (AFFINE @ np.array([*LESION, 1.0]))[:3] * [-1, -1, 1]
TRUTH = study_suv() > 12 - RADIUS


@pytest.fixture(scope="module")
def folder_server(namespace, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ohif_folder")
    write_study(folder / "studies" / "oblique", seed=4)
    write_ct(folder / "studies" / "oblique", folder / "studies" / "ct")
    with namespace.entered():
        yield from start_server(folder, folder / "studies")


def test_a_folder_opens_in_ohif_is_clicked_and_its_label_comes_back(folder_server, tmp_path):
    url = folder_server.url
    (study, *_) = (folder_server.studies / "oblique").glob("*.dcm")
    uid = pydicom.dcmread(study, stop_before_pixels=True).StudyInstanceUID
    with chromium_page() as page:
        page.goto(url)
        page.locator(f'a[href*="{uid}"]').first.click()
        ohif = Ohif(page)
        ohif.wait_for_images()
        page.wait_for_selector("text=CT beside", timeout=60_000)
        shown = ohif.shown(LPS)
        assert shown["dimensions"] == list(SHAPE)
        assert shown["ijk"] == list(LESION)
        assert shown["value"] == pytest.approx(float(study_suv()[LESION]), rel=1e-3)
        ohif.connect()
        ohif.select_row("lesion")
        ohif.click_at(LPS)
        status, sent = ohif.run()
        assert status == 200
        found = np.zeros(TRUTH.size, bool)
        found[ohif.segmented()] = True
        found = found.reshape(TRUTH.shape, order="F")
        assert 2 * (found & TRUTH).sum() / (found.sum() + TRUTH.sum()) > 0.6
        page.screenshot(path=tmp_path / "folder.png")
        clicked = {"params": json.dumps({**sent, "label": "lesion", "save_label": True, "label_tag": "final"})}
        answer = requests.post(f"{url}/infer/seganypet?image=oblique&output=json", data=clicked, timeout=60)
        assert answer.status_code == 200
        series = requests.get(f"{url}/proxy/dicom/qido/studies/{uid}/series?Modality=SEG", timeout=60).json()
        assert len(series) == 1
        page.goto(f"{url}/ohif/viewer?StudyInstanceUIDs={uid}")
        page.wait_for_selector("canvas.cornerstone-canvas", timeout=60_000)
        page.wait_for_selector("text=SEG", timeout=60_000)
