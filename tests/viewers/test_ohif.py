"""A click in OHIF in a real browser: the mask comes up where it was clicked, on a study that shows every flip."""

from __future__ import annotations

import json

import highdicom
import numpy as np
import pydicom
import pytest
import requests
from chromium import chromium_page
from oblique_study import AFFINE, LESION, RADIUS, SHAPE, study_suv, write_study
from ohif import Ohif
from running_server import MODEL

pytestmark = pytest.mark.slow
LPS = (AFFINE @ np.array([*LESION, 1.0]))[:3] * [-1, -1, 1]
TRUTH = study_suv() > 12 - RADIUS


@pytest.fixture(scope="module")
def viewer(namespace, archive_server, study_files, tmp_path_factory):
    """OHIF on the study, opened by its link on the server's start page."""
    study = pydicom.dcmread(study_files[0], stop_before_pixels=True).StudyInstanceUID
    with namespace.entered(), chromium_page() as page:
        asked: list[str] = []
        page.on("requestfinished", lambda request: asked.append(request.url))
        page.goto(archive_server.url)
        page.locator(f'a[href*="{study}"]').first.click()
        ohif = Ohif(page)
        ohif.wait_for_images()
        yield ohif
        assert [url for url in asked if not url.startswith((archive_server.url, "blob:", "data:"))] == []
        page.screenshot(path=tmp_path_factory.mktemp("ohif") / "last.png")


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


def test_the_viewer_shows_the_servers_suv_at_the_servers_voxel(viewer, archive_server, pet_series):
    shown = viewer.shown(LPS)
    assert shown["dimensions"] == list(SHAPE)
    assert shown["ijk"] == list(LESION)
    assert shown["value"] == pytest.approx(float(study_suv()[LESION]), rel=1e-3)
    answer = archive_server.numbers(f"image={pet_series}", {"foreground": [shown["ijk"]], "background": []})
    assert answer["max_ijk"] == shown["ijk"]
    assert answer["suv_max"] == pytest.approx(shown["value"], rel=1e-3)


def test_a_study_is_encoded_while_its_images_travel(viewer, archive_server, pet_series):
    assert archive_server.client.info()["encoded_ahead"][pet_series]["state"] in ("waiting", "encoding", "done")


def test_a_click_on_the_lesion_brings_its_mask_up_there(viewer, archive_server, pet_series, tmp_path):
    assert viewer.connect() == f"{archive_server.url}/"
    viewer.select_row("lesion")
    viewer.click_at(LPS)
    status, sent = viewer.run()
    assert status == 200
    assert sent["foreground"] == [list(LESION)]
    flat = viewer.segmented()
    mask = np.zeros(np.prod(SHAPE), bool)
    mask[flat] = True
    mask = mask.reshape(SHAPE, order="F")
    assert mask[LESION]
    form = {"params": json.dumps({**sent, "result_extension": ".nrrd"})}
    url = f"{archive_server.url}/infer/{MODEL}?image={pet_series}&output=image"
    answer = requests.post(url, data=form, timeout=60).content
    np.testing.assert_array_equal(
        mask, np.frombuffer(answer[answer.index(b"\n\n") + 2 :], np.uint8).reshape(SHAPE, order="F") > 0
    )
    centre = np.argwhere(mask).mean(axis=0)
    assert np.abs(centre - LESION).max() < 1.5, "the mask lies around the click"
    assert dice(mask, TRUTH) > 0.5
    assert dice(mask[::-1], TRUTH) < 0.1
    viewer.page.screenshot(path=tmp_path / "ohif-lesion.png")


def test_with_the_background_row_selected_the_answer_says_which_row_to_select(viewer):
    viewer.select_row("background")
    for clicks in (0, 1):
        if clicks:
            viewer.click_at(LPS + np.array([-20, 8, 0]))
        status, sent = viewer.run()
        assert sent.get("foreground", []) == sent["background"]
        assert len(sent["background"]) == clicks
        assert status == 400
        assert "select the row of the structure" in viewer.answer


def test_a_background_click_counts_against_the_structure(viewer):
    viewer.select_row("lesion")
    status, sent = viewer.run()
    assert status == 200
    assert (len(sent["foreground"]), len(sent["background"])) == (1, 1)


def test_ohif_asks_for_one_patients_studies_and_gets_no_others(viewer, archive_server, orthanc, tmp_path):
    files = write_study(tmp_path / "other", seed=5, name="Other^Bob", sex="M")
    orthanc.store(files)
    patient = pydicom.dcmread(files[0], stop_before_pixels=True).PatientID
    found = requests.get(f"{archive_server.url}/proxy/dicom/qido/studies?00100020={patient}", timeout=30).json()
    assert [study["00100020"]["Value"] for study in found] == [[patient]]
    orthanc.delete_series(str(pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID))


def test_what_ohif_showed_is_saved_as_final_from_the_start_page(viewer, archive_server, pet_series, orthanc, tmp_path):
    viewer.select_row("lesion")
    viewer.run()
    flat = viewer.segmented()
    before = orthanc.series("SEG")
    page = viewer.page.context.new_page()
    page.goto(archive_server.url)
    row = page.locator("tr", has_text="not saved").filter(has_text="target")
    row.locator('input[name="name"]').fill("left kidney lesion")
    row.locator('input[name="reader"]').fill("Ann")
    row.get_by_role("button", name="Save as final").click()
    page.wait_for_selector("text=is saved as final")
    page.screenshot(path=tmp_path / "start.png", full_page=True)
    (added,) = set(orthanc.series("SEG")) - set(before)
    (file,) = orthanc.files_of(added, tmp_path)
    seg = highdicom.seg.segread(file)
    (number,) = (one.SegmentNumber for one in seg.SegmentSequence if one.SegmentLabel == "left kidney lesion")
    order = [str(pydicom.dcmread(one, stop_before_pixels=True).SOPInstanceUID) for one in archive_server.slices]
    segments = seg.get_pixels_by_source_instance(order).astype(bool).T  # [segment, i, j, k]
    stored, others = segments[number - 1], np.delete(segments, number - 1, axis=0).any(0)
    shown = np.zeros(stored.size, bool)
    shown[flat] = True
    # what was saved before and is smaller stays
    np.testing.assert_array_equal(stored, shown.reshape(stored.shape, order="F") & ~others)
    assert stored.any()
    info = archive_server.client.datastore()["objects"][pet_series]["labels"]["final"]["info"]
    (target,) = (one for one in info["targets"] if one["name"] == "left kidney lesion")
    assert (info["client_id"], len(target["clicks"])) == ("Ann", 2)
    assert target["weights"]["hash"]
