"""What Slicer, OHIF and MONAI Label's client get for a click."""

from __future__ import annotations

import io
import json
from pathlib import Path

import highdicom
import nibabel as nib
import nrrd
import numpy as np
import pydicom
import pytest
import requests
import SimpleITK as sitk
from lib.http.answers import cropped
from running_server import MODEL
from small_studies import AFFINE, DICOM_AFFINE, HOT_CENTRE, SHAPE, hot_block, save_nifti

VOXEL_ML = 4**3 / 1000
VOXELS = 24 * 20 * 30
VOLUME_ML = VOXELS * VOXEL_ML  # 921.6
SUV_MEAN = (VOXELS - 80 + 80 * 8) / VOXELS


def slicer(**more):
    """As Slicer's module sends a click: its segment's name, both lists, its result keys."""
    return {
        "label": "liver",
        "foreground": [HOT_CENTRE],
        "background": [],
        "result_extension": ".nrrd",
        "result_dtype": "uint8",
        **more,
    }


def ohif(**more):
    """As OHIF sends a click: no name, raw NRRD, output=image."""
    return {
        "foreground": [HOT_CENTRE],
        "background": [],
        "result_extension": ".nrrd",
        "result_dtype": "uint8",
        "result_compress": False,
        "restore_label_idx": False,
        **more,
    }


def test_info_tells_both_viewers_what_there_is(server):
    info = server.client.info()
    assert info["labels"] == ["liver", "spleen", "lesion"]
    model = info["models"][MODEL]
    assert (model["type"], model["dimension"], model["labels"]) == ("deepgrow", 3, ["liver", "spleen", "lesion"])
    assert info["datastore"]["total"] == 4


def test_client_gets_mask_on_the_images_grid_with_its_numbers(server):
    file, params = server.client.infer(MODEL, "block", slicer(foreground=[[4, 4, 4]]))
    mask = sitk.ReadImage(file)
    image = sitk.ReadImage(str(server.studies / "block.nii.gz"))
    assert mask.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    assert mask.GetSize() == image.GetSize() == SHAPE
    np.testing.assert_allclose(mask.GetOrigin(), image.GetOrigin())
    np.testing.assert_allclose(mask.GetSpacing(), image.GetSpacing())
    np.testing.assert_allclose(mask.GetDirection(), image.GetDirection())
    assert np.unique(sitk.GetArrayFromImage(mask)).tolist() == [1]
    assert params["label"] == "liver"
    assert params["label_names"] == {"liver": 1}
    assert params["volume_ml"] == pytest.approx(VOLUME_ML)
    assert params["suv_max"] == pytest.approx(8)
    assert params["suv_mean"] == pytest.approx(SUV_MEAN)
    assert params["tlg"] == pytest.approx(SUV_MEAN * VOLUME_ML)
    assert "6.2 mm" in params["suv_peak_definition"]
    assert params["suv_provenance"]["rule"]
    assert params["windows_decoded"] == 2  # a fine window, which this target leaves, and a coarse one
    assert {"encode_s", "decode_s", "total_s"} <= set(params["timings"])


def test_ohif_gets_raw_nrrd_of_the_full_grid(server):
    answer = server.click("image=block&output=image", ohif())
    assert answer.status_code == 200
    header = nrrd.read_header(io.BytesIO(answer.content))
    assert header["encoding"] == "raw"
    assert header["type"] in ("uint8", "unsigned char")
    assert header["sizes"].tolist() == list(SHAPE)
    data = answer.content[answer.content.index(b"\n\n") + 2 :]
    assert len(data) == np.prod(SHAPE)
    assert set(data) == {1}


def test_a_large_raw_mask_travels_packed_to_clients_that_unpack_it(server):
    def ask(encoding: str) -> requests.Response:
        form = {"params": json.dumps(ohif(foreground=[[40, 30, 50]]))}
        url = f"{server.url}/infer/{MODEL}?image=large&output=image"
        return requests.post(url, data=form, headers={"Accept-Encoding": encoding}, timeout=120)

    packed, plain = ask("gzip, deflate"), ask("identity")
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert int(packed.headers["content-length"]) < 0.1 * int(plain.headers["content-length"])
    assert packed.content == plain.content
    assert len(plain.content[plain.content.index(b"\n\n") + 2 :]) == 70 * 50 * 110


def test_nifti_answer_has_the_studys_affine(server, tmp_path):
    answer = server.click("image=block&output=image", slicer(result_extension=".nii.gz", result_dtype="uint16"))
    file = tmp_path / "mask.nii.gz"
    file.write_bytes(answer.content)
    image = nib.load(file)
    assert image.shape == SHAPE
    assert image.get_data_dtype() == np.uint16
    np.testing.assert_allclose(image.affine, AFFINE)


def test_second_click_on_a_study_does_not_encode_again(server, tmp_path):
    rng = np.random.default_rng(1)
    save_nifti(rng.random(SHAPE, dtype=np.float32), tmp_path / "new.nii.gz")
    session = server.client.create_session(str(tmp_path / "new.nii.gz"))["session_id"]
    first = server.numbers(f"session_id={session}", slicer())
    assert first["windows_encoded"] > 0
    assert not first["cached"]
    second = server.numbers(f"session_id={session}", slicer(background=[[1, 1, 1]]))
    assert second["windows_encoded"] == 0
    assert second["cached"]
    assert second["clicks"] == 2
    undone = server.numbers(f"session_id={session}", slicer())
    assert undone["windows_decoded"] == 0, "an answered click list is not decoded again"


def test_the_same_image_by_session_and_with_the_request_is_encoded_once(server, tmp_path):
    rng = np.random.default_rng(2)
    file = save_nifti(rng.random(SHAPE, dtype=np.float32), tmp_path / "twice.nii.gz")
    session = server.client.create_session(str(file))["session_id"]
    assert server.numbers(f"session_id={session}", slicer())["windows_encoded"] > 0
    mask, params = server.client.infer(MODEL, "", slicer(foreground=[[3, 3, 3]]), file=str(file))
    assert params["windows_encoded"] == 1  # the fine window around another click, and no coarse one
    assert sitk.ReadImage(mask).GetSize() == SHAPE
    server.client.remove_session(session)
    assert server.click(f"session_id={session}", slicer()).status_code == 404


def test_dicom_series_is_a_study_whose_clicks_refer_to_its_download(server, tmp_path):
    assert "ann_pet" in server.client.datastore()["objects"]
    download = requests.get(f"{server.url}/datastore/image?image=ann_pet", timeout=60)
    file = tmp_path / "ann_pet.nii.gz"
    file.write_bytes(download.content)
    image = nib.load(file)
    np.testing.assert_allclose(image.affine, DICOM_AFFINE, atol=1e-4)
    np.testing.assert_allclose(image.get_fdata(), hot_block(), atol=1e-3)
    params = server.numbers("image=ann_pet", slicer())
    assert params["suv_max"] == pytest.approx(8, rel=1e-3)
    assert params["max_ijk"] is not None
    assert "BQML" in params["suv_provenance"]["rule"]
    uploaded = server.client.infer(MODEL, "", slicer(foreground=[[3, 3, 3]]), file=str(file))[1]
    # the fine window around another click, and no coarse one
    assert uploaded["windows_encoded"] == 1, "a download sent back is known by its content"


def test_dicom_series_is_found_by_its_uid_too(server):
    uid = server.client.datastore()["objects"]["ann_pet"]["image"]["info"]["series_uid"]
    assert server.numbers(f"image={uid}", slicer())["volume_ml"] == pytest.approx(VOLUME_ML, rel=1e-6)


def test_dicom_seg_refers_to_the_series(server, tmp_path):
    answer = server.click("image=ann_pet&output=dicom_seg", ohif(label_info=[{"name": "liver"}]))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom"
    (tmp_path / "seg.dcm").write_bytes(answer.content)
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    source = pydicom.dcmread(next((server.studies / "ann" / "pet").iterdir()))
    assert seg.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert seg.StudyInstanceUID == source.StudyInstanceUID
    assert seg.SegmentSequence[0].SegmentLabel == "liver"
    assert int(seg.pixel_array.sum()) == VOXELS


def test_dicom_files_sent_as_a_session_are_a_study_too(server):
    slices = sorted((server.studies / "ann" / "pet").iterdir())
    files = [("files", (path.name, path.read_bytes())) for path in reversed(slices)]
    session = requests.put(f"{server.url}/session/", files=files, timeout=60).json()["session_id"]
    params = server.numbers(f"session_id={session}", slicer(foreground=[[2, 2, 2]]))
    assert params["suv_max"] == pytest.approx(8, rel=1e-3)
    assert params["windows_encoded"] == 1, "the same series lies in the studies folder"  # the fine window's, again
    seg = server.click(f"session_id={session}&output=dicom_seg", slicer())
    assert seg.headers["content-type"] == "application/dicom"


def test_without_suv_the_mask_comes_and_the_number_is_refused(server):
    params = server.numbers("image=becquerel", slicer())
    assert params["volume_ml"] == pytest.approx(VOLUME_ML)
    assert params["suv_max"] is None
    assert params["tlg"] is None
    assert params["suv_unavailable"].startswith("SUV unavailable: ")
    assert "Bq/mL" in params["suv_unavailable"]


@pytest.mark.parametrize("lists", [{"foreground": [], "background": []}, {"foreground": [], "background": [[1, 2, 3]]}])
def test_no_positive_click_gives_an_empty_mask(server, lists):
    params = server.numbers("image=block", slicer(**lists))
    assert params["volume_ml"] == 0
    assert params["suv_max"] is None


@pytest.mark.parametrize("click", [[-1, 0, 0], [24, 19, 29], [0, 20, 0], [0, 0, 30], [-0.5, 19.5, 29.5]])
def test_a_click_rounded_onto_the_rim_counts(server, click):
    assert server.numbers("image=block", slicer(foreground=[click]))["volume_ml"] > 0


def test_params_do_not_override_the_route(server):
    params = slicer(model="another", image="large", session_id="none")
    assert server.numbers("image=block", params)["volume_ml"] == pytest.approx(VOLUME_ML)


def test_next_sample_has_a_file_name_slicer_can_load(server):
    sample = server.client.next_sample("first", {})
    assert sample["id"] == "ann_pet"
    assert sample["name"] == "ann_pet.nii.gz"
    assert Path(sample["path"]).is_file()
    assert server.client.next_sample("random", {})["id"] in server.client.datastore()["objects"]


def test_saved_labels_come_back_and_are_never_overwritten(server, tmp_path):
    masks = []
    for value in (1, 2):
        mask = np.full(SHAPE, value, np.uint8)
        file = tmp_path / f"{value}.nii.gz"
        nib.save(nib.Nifti1Image(mask, AFFINE), file)
        saved = server.client.save_label("block", str(file), tag="round", params={"label_info": [{"name": "liver"}]})
        assert saved == {"image": "block", "label": "block"}
        masks.append(mask)
    back = server.client.download_label("block", "round")
    np.testing.assert_array_equal(nib.load(back).get_fdata(), masks[1])
    (kept,) = (server.studies / ".seganypet" / "replaced" / "labels" / "round").glob("*.nii.gz")
    np.testing.assert_array_equal(nib.load(kept).get_fdata(), masks[0])


def test_only_studies_keep_labels(server):
    file = server.studies / "block.nii.gz"
    answer = server.click("", slicer(save_label=True), file=file.open("rb"))
    assert answer.status_code == 400
    assert "/datastore/image" in answer.json()["detail"]


def test_a_mask_can_be_kept_by_the_request_that_made_it(server):
    server.numbers("image=ann_pet", slicer(save_label=True, label_tag="machine"))
    entry = server.client.datastore()["objects"]["ann_pet"]["labels"]["machine"]
    assert entry["info"]["clicks"] == [{"ijk": HOT_CENTRE, "positive": True}]
    assert entry["info"]["params"]["weights"]["hash"]
    assert json.dumps(entry)
    kept = nib.load(server.studies / "labels" / "machine" / "ann_pet.nii.gz")
    np.testing.assert_allclose(kept.affine, DICOM_AFFINE, atol=1e-4)


def test_a_client_that_places_the_mask_itself_gets_its_box_alone(server):
    click = {"foreground": [HOT_CENTRE], "background": [[4, 4, 4]], "result_extension": ".nrrd", "label": "node"}
    whole, numbers = server.client.infer(MODEL, "block", click)
    cut, same = server.client.infer(MODEL, "block", {**click, "result_box": True})
    assert numbers["volume_ml"] == same["volume_ml"]
    box = tuple(slice(*side) for side in same["box"])
    full, image = sitk.ReadImage(str(whole)), sitk.ReadImage(str(cut))
    voxels = sitk.GetArrayFromImage(full).T
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, voxels[box])
    assert voxels.sum() == voxels[box].sum() > 0
    assert [int(side.any()) for side in (voxels[box][0], voxels[box][-1])] == [1, 1]  # the smallest one
    corner = full.TransformIndexToPhysicalPoint([side.start for side in box])
    np.testing.assert_allclose(image.GetOrigin(), corner, atol=1e-3)
    assert image.GetSpacing() == full.GetSpacing()


def test_a_cut_mask_stays_where_it_lies_by_hand():
    mask = np.zeros((6, 5, 4), bool)
    mask[2:4, 1, 3] = True
    cut, affine = cropped(mask, np.diag([2.0, 3, 4, 1]), (slice(2, 4), slice(1, 2), slice(3, 4)))
    assert cut.shape == (2, 1, 1)
    assert cut.all()
    assert affine[:3, 3].tolist() == [4, 3, 12]
    empty, _ = cropped(mask & False, np.eye(4), None)
    assert empty.shape == (1, 1, 1)
