"""Requests exactly as 3D Slicer's module MONAILabel sends them: SmartEdit, one segment at a time, then a save."""

from __future__ import annotations

import json

import nibabel as nib
import nrrd
import numpy as np
import pytest
import requests
from running_server import MODEL
from small_studies import AFFINE, HOT_CENTRE, SHAPE, hot_block, save_nifti

NRRD = {"result_extension": ".nrrd", "result_dtype": "uint8"}


def config_keys(server) -> dict:
    """The model's options as Slicer sends them back: of a list its first item."""
    config = server.client.info()["models"][MODEL].get("config", {})
    return {key: value[0] if isinstance(value, list) else value for key, value in config.items()}


def smart_edit(server, label: str, foreground: list, background: list, **more) -> dict:
    return {
        "label": label,
        "foreground": foreground,
        "background": background,
        **config_keys(server),
        **NRRD,
        **more,
    }


def mask_of(server, query: str, params: dict) -> tuple[np.ndarray, dict]:
    """What Slicer's client library takes from the multipart answer."""
    image = query.removeprefix("image=") if query.startswith("image=") else ""
    session = query.removeprefix("session_id=") if query.startswith("session_id=") else None
    file, said = server.client.infer(MODEL, image, params, session_id=session)
    return nrrd.read(file)[0], said


def test_config_keys_and_roi_do_not_change_a_mask(server):
    plain, _ = mask_of(server, "image=block", {"foreground": [HOT_CENTRE], "background": [], "label": "liver"} | NRRD)
    params = smart_edit(server, "liver", [HOT_CENTRE], [], roi=[0, 23, 0, 19, 0, 29])
    np.testing.assert_array_equal(mask_of(server, "image=block", params)[0], plain)


def test_one_segment_at_a_time_each_answer_holds_that_segment_alone(server):
    for label in ("liver", "spleen"):
        mask, said = mask_of(server, "image=block", smart_edit(server, label, [HOT_CENTRE], []))
        assert np.unique(mask).tolist() == [1]
        assert (said["label"], said["label_names"]) == (label, {label: 1})


def test_a_click_taken_back_gives_the_mask_of_before(server):
    first, before = mask_of(server, "image=large", smart_edit(server, "liver", [[35, 35, 65]], []))
    mask_of(server, "image=large", smart_edit(server, "liver", [[35, 35, 65]], [[20, 20, 50]]))
    again, after = mask_of(server, "image=large", smart_edit(server, "liver", [[35, 35, 65]], []))
    np.testing.assert_array_equal(again, first)
    assert after["windows_decoded"] == 0
    assert after["clicks"] == before["clicks"] == 1


def test_the_last_click_taken_back_leaves_an_empty_mask(server):
    mask, said = mask_of(server, "image=block", smart_edit(server, "liver", [], []))
    assert mask.shape == SHAPE
    assert not mask.any()
    assert said["volume_ml"] == 0


def test_a_volume_of_slicers_own_is_clicked_in_a_session(server, tmp_path):
    """Upload volume, click, and a session that is still there afterwards."""
    file = save_nifti(hot_block() + 0.25, tmp_path / "3: PET AC (WB).nii.gz")
    session = server.client.create_session(str(file))["session_id"]
    mask, said = mask_of(server, f"session_id={session}", smart_edit(server, "lesion", [HOT_CENTRE], []))
    assert mask.shape == SHAPE
    assert said["suv_max"] == pytest.approx(8.25)
    assert requests.get(f"{server.url}/session/{session}", timeout=30).ok


def test_what_slicer_saves_names_its_targets_with_their_clicks_and_numbers(server, tmp_path):
    shown, _ = mask_of(server, "image=block", smart_edit(server, "liver", [HOT_CENTRE], [[0, 0, 0]]))
    labels = shown.astype(np.uint8)
    labels[:2] = 2  # another segment, drawn by hand over the first
    file = tmp_path / "label.nii.gz"
    nib.save(nib.Nifti1Image(labels, AFFINE), file)
    said = {"label_info": [{"name": "liver", "idx": 1}, {"name": "my lesion", "idx": 2}]}
    server.client.save_label("block", str(file), tag="slicer", params=said)
    kept = json.loads((server.studies / "labels" / "slicer" / "block.json").read_text())
    liver, lesion = kept["targets"]
    assert (liver["name"], lesion["name"]) == ("liver", "my lesion")
    assert [click["ijk"] for click in liver["clicks"]] == [HOT_CENTRE, [0, 0, 0]]
    assert liver["edited"] is True
    assert "clicks" not in lesion
    assert lesion["volume_ml"] == pytest.approx(2 * 20 * 30 * 0.064)
    assert lesion["suv_mean"] == pytest.approx(1)
