"""`--studies http://…/dicom-web` on a real Orthanc: series found, SUV from the tags, labels back as DICOM SEG."""

from __future__ import annotations

import json
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
import requests
from oblique_study import AFFINE, LESION, SHAPE, study_suv, write_study
from running_server import MODEL

from seganypet.pet import SegmentOrigin, read_pet, write_seg


def clicked(**more):
    return {"label": "lesion", "foreground": [list(LESION)], "background": [], **more}


def save(server, tmp_path: Path, study: str, labels: np.ndarray, params: dict, tag: str = "final"):
    file = tmp_path / "label.nii.gz"
    nib.save(nib.Nifti1Image(labels.astype(np.uint8), AFFINE), file)
    return server.client.save_label(study, str(file), tag=tag, params=params)


def box(start: tuple[int, int, int], size: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] = True
    return mask


def test_pet_series_are_found_without_settings_and_nothing_is_fetched(archive_server, pet_series):
    assert list(archive_server.client.datastore()["objects"]) == [pet_series]
    assert archive_server.client.info()["datastore"]["total"] == 1
    assert archive_server.fetched_at_start == []


def test_suv_comes_from_the_tags_on_the_series_own_grid(archive_server, pet_series, tmp_path):
    params = archive_server.numbers(f"image={pet_series}", clicked())
    assert params["suv_max"] == pytest.approx(12, rel=1e-3)
    assert params["max_ijk"] == list(LESION)
    assert "BQML" in params["suv_provenance"]["rule"]
    assert any("PatientWeight" in tag for tag in params["suv_provenance"]["tags"])
    file = tmp_path / "image.nii.gz"
    url = f"{archive_server.url}/datastore/image?image={pet_series}"
    file.write_bytes(requests.get(url, timeout=60).content)
    image = nib.load(file)
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-4)
    np.testing.assert_allclose(image.get_fdata(), study_suv(), atol=1e-3)


def test_a_final_label_is_a_seg_in_the_archive_that_reads_back_bit_equal(archive_server, pet_series, orthanc, tmp_path):
    lesion, liver = box((29, 10, 35), (3, 5, 2)), box((8, 20, 4), (6, 3, 9))
    labels = lesion + 2 * liver.astype(np.uint8)
    said = {"label_info": [{"name": "lesion", "idx": 1}, {"name": "liver", "idx": 2}]}
    before = orthanc.series("SEG")
    save(archive_server, tmp_path, pet_series, labels, said)
    (added,) = set(orthanc.series("SEG")) - set(before)
    (file,) = orthanc.files_of(added, tmp_path)
    seg = highdicom.seg.segread(file)

    headers = [pydicom.dcmread(one, stop_before_pixels=True) for one in archive_server.slices]
    assert seg.StudyInstanceUID == headers[0].StudyInstanceUID
    assert seg.FrameOfReferenceUID == headers[0].FrameOfReferenceUID
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == pet_series
    stored = seg.get_pixels_by_source_instance([header.SOPInstanceUID for header in headers])  # [k, j, i, segment]
    for number, mask in enumerate((lesion, liver)):
        np.testing.assert_array_equal(stored[..., number].T, mask)
    types = [segment.SegmentedPropertyTypeCodeSequence[0].CodeValue for segment in seg.SegmentSequence]
    assert types == ["52988006", "10200004"]

    info = archive_server.client.datastore()["objects"][pet_series]["labels"]["final"]["info"]
    assert info["seg"]["series_uid"] == added
    tracked = {segment.SegmentLabel: segment.TrackingUID for segment in seg.SegmentSequence}
    assert {one["name"]: one["tracking_uid"] for one in info["targets"]} == tracked
    numbers = {one["name"]: one for one in info["targets"]}
    assert numbers["liver"]["volume_ml"] == pytest.approx(6 * 3 * 9 * 4 * 4 * 3.5 / 1000)
    assert numbers["lesion"]["suv_max"] == pytest.approx(12, rel=1e-3)
    assert numbers["lesion"]["tlg"] == pytest.approx(study_suv()[lesion].mean() * 30 * 0.056, rel=1e-3)
    assert "BQML" in info["suv_provenance"]["rule"]
    beside = archive_server.cache / "labels" / "final" / f"{pet_series}.json"
    assert json.loads(beside.read_text())["targets"] == info["targets"]


def test_a_series_is_found_again_after_a_label_was_saved(archive_server, pet_series, orthanc, tmp_path):
    labels = box((29, 10, 35), (3, 3, 3))
    save(archive_server, tmp_path, pet_series, labels, {"label": "lesion"})
    first = archive_server.client.datastore()["objects"][pet_series]["labels"]["final"]["info"]
    save(archive_server, tmp_path, pet_series, box((5, 5, 5), (2, 2, 2)), {"label": "liver"})
    objects = archive_server.client.datastore()["objects"]
    assert list(objects) == [pet_series]
    again = objects[pet_series]["labels"]["final"]["info"]
    assert {one["name"] for one in again["targets"]} >= {"lesion", "liver"}
    uids = [{one["name"]: one["tracking_uid"] for one in info["targets"]}["lesion"] for info in (first, again)]
    assert uids[0] == uids[1], "a lesion keeps its tracking UID"
    assert archive_server.numbers(f"image={pet_series}", clicked())["suv_max"] == pytest.approx(12, rel=1e-3)


def test_only_final_labels_go_to_the_archive(archive_server, pet_series, orthanc, tmp_path):
    before = orthanc.series("SEG")
    save(archive_server, tmp_path, pet_series, box((1, 2, 3), (2, 2, 2)), {"label": "lesion"}, tag="original")
    assert orthanc.series("SEG") == before
    back = archive_server.client.download_label(pet_series, "original")
    assert nib.load(back).get_fdata().sum() == 8


def test_a_series_that_comes_later_answers_at_once(archive_server, orthanc, tmp_path):
    files = write_study(tmp_path / "later", seed=7, name="Later^Bob", sex="M")
    uid = str(pydicom.dcmread(files[0]).SeriesInstanceUID)
    missing = archive_server.click(f"image={uid}&output=json", clicked())
    assert missing.status_code == 404
    assert uid in missing.json()["detail"]
    orthanc.store(files)
    assert archive_server.numbers(f"image={uid}", clicked())["max_ijk"] == list(LESION)
    assert uid in archive_server.client.datastore()["objects"]

    orthanc.delete_series(uid)


def test_a_series_that_vanished_before_it_was_fetched_says_so(archive_server, orthanc, tmp_path):
    files = write_study(tmp_path / "gone", seed=8)
    uid = str(pydicom.dcmread(files[0]).SeriesInstanceUID)
    orthanc.store(files)
    info = requests.get(f"{archive_server.url}/datastore/image/info?image={uid}", timeout=30).json()
    assert info["series_uid"] == uid
    orthanc.delete_series(uid)
    answer = archive_server.click(f"image={uid}&output=json", clicked())
    assert answer.status_code == 404
    assert "any more" in answer.json()["detail"]
    assert uid not in archive_server.client.datastore()["objects"]


def test_a_label_that_another_server_left_is_taken_in_when_its_study_is_opened(archive_server, orthanc, tmp_path):
    files = write_study(tmp_path / "elsewhere", seed=9)
    uid = str(pydicom.dcmread(files[0]).SeriesInstanceUID)
    volume, lesion = read_pet(tmp_path / "elsewhere"), box((28, 10, 34), (5, 4, 3))
    tracking = "1.2.826.0.1.3680043.8.498.1"
    write_seg({"my lesion": lesion}, volume, tmp_path / "seg.dcm", origins={"my lesion": SegmentOrigin(tracking)})
    orthanc.store([*files, tmp_path / "seg.dcm"])
    archive_server.numbers(f"image={uid}", clicked())
    label = archive_server.client.datastore()["objects"][uid]["labels"]["final"]["info"]
    (target,) = label["targets"]
    assert (target["name"], target["tracking_uid"]) == ("my lesion", tracking)
    assert target["volume_ml"] == pytest.approx(60 * 0.056)
    back = nib.load(archive_server.client.download_label(uid, "final"))
    np.testing.assert_array_equal(back.get_fdata() > 0, lesion)
    before = orthanc.series("SEG")
    save(archive_server, tmp_path, uid, box((5, 5, 5), (2, 2, 2)), {"label": "liver"})
    (added,) = set(orthanc.series("SEG")) - set(before)
    (file,) = orthanc.files_of(added, tmp_path)
    labels = {one.SegmentLabel: one.TrackingUID for one in highdicom.seg.segread(file).SegmentSequence}
    assert set(labels) == {"my lesion", "liver"}
    assert labels["my lesion"] == tracking
    orthanc.delete_series(uid)


@pytest.mark.parametrize("image", ["1.2.3.4", "liver", "%2a", "1.2&image=3"])
def test_unknown_series_are_a_clear_404(archive_server, image):
    answer = archive_server.click(f"image={image}", clicked())
    assert answer.status_code == 404, answer.text
    assert "PET series" in answer.json()["detail"]


def test_ohif_is_answered_by_the_series_uid(archive_server, pet_series):
    params = {"foreground": [list(LESION)], "background": [], "result_extension": ".nrrd", "result_compress": False}
    answer = archive_server.click(f"image={pet_series}&output=image", params, model=MODEL)
    data = answer.content[answer.content.index(b"\n\n") + 2 :]
    assert len(data) == np.prod(SHAPE)
