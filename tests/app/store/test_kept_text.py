"""Text that is none and numbers that are none are not kept, and those kept before do not stop the server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi import HTTPException
from lib.store.datastore import FINAL, StudyStore
from lib.store.kept_text import MOST_DEEP, check_kept, check_text, read_kept
from lib.store.names import is_study_id
from lib.store.volumes import Volumes
from small_studies import hot_block, save_nifti


def nested(levels: int) -> list:
    value: list = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("\ud800", "half a character"),
        ({"a": ["x\udfff"]}, "half a character"),
        ({"\ud800": 1}, "half a character"),
        (float("nan"), "NaN or infinity"),
        ({"a": [1.0, float("-inf")]}, "NaN or infinity"),
        (nested(MOST_DEEP + 1), "at most 32 levels"),
        (nested(100_000), "nested too deeply"),
    ],
)
def test_what_cannot_be_kept_is_named(value, words):
    with pytest.raises(HTTPException, match=f"the info .*{words}") as refused:
        check_kept(value, "the info")
    assert refused.value.status_code == 400


def test_what_can_be_kept_is():
    check_kept({"a": nested(MOST_DEEP - 1), "é": "\U0001f600", "b": 1e308, "c": None, "d": (1, 2)}, "the info")
    check_text({"a": float("nan")}, "a click")  # who reads numbers says which one is none


def test_file_names_that_are_no_text_are_no_studies():
    assert not is_study_id("scan\udcff")


def test_what_was_kept_before_is_read_as_far_as_it_can_be(tmp_path):
    file = tmp_path / "said.json"
    file.write_text(json.dumps({"a\ud800": "b\udc00c", "n": [float("nan"), 1.5, "é"], "deep": nested(200)}))
    said = read_kept(file)
    check_kept({**said, "deep": None}, "the info")
    assert said["a\ufffd"] == "b\ufffdc"
    assert said["n"] == [None, 1.5, "é"]
    file.write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"said.json is nested too deeply"):
        read_kept(file)


def test_an_index_with_such_values_opens(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    save_nifti(hot_block(), folder / "block.nii.gz")
    label = save_nifti((hot_block() > 4).astype("uint8"), tmp_path / "label.nii.gz")
    StudyStore(str(folder), Volumes(10**9), auto_reload=False).save_label("block", str(label), FINAL, {"label": "a"})

    def spoil(file: Path) -> None:
        text = file.read_text().replace('"a"', r'"a\ud800"')
        file.write_text(text.replace('"edited": false', '"edited": NaN').replace('"ts":', '"x": NaN, "ts":'))

    spoil(folder / "datastore_v2.json")
    spoil(folder / "labels" / FINAL / "block.json")
    store = StudyStore(str(folder), Volumes(10**9), auto_reload=False)
    json.dumps(store.json(), allow_nan=False, ensure_ascii=False).encode()
    assert store.get_label_info("block", FINAL)["targets"][0]["name"] == "a\ufffd"
    (folder / "datastore_v2.json").unlink()
    again: dict[str, Path] = StudyStore(str(folder), Volumes(10**9), auto_reload=False).json()
    json.dumps(again, allow_nan=False, ensure_ascii=False).encode()


def test_a_refused_save_leaves_nothing(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    save_nifti(hot_block(), folder / "block.nii.gz")
    label = save_nifti((hot_block() > 4).astype("uint8"), tmp_path / "label.nii.gz")
    store = StudyStore(str(folder), Volumes(10**9), auto_reload=False)
    before = store.json()
    for said in ({"label": "\ud800"}, {"client_id": float("nan")}):
        with pytest.raises(HTTPException):
            store.save_label("block", str(label), FINAL, said)
        with pytest.raises(HTTPException):
            store.update_image_info("block", said)
    assert store.json() == before
    assert not list((folder / "labels").rglob("block*"))
    store.save_label("block", str(label), FINAL, {})
    for change in (store.update_label_info, store.add_label_info):
        with pytest.raises(HTTPException):
            change("block", FINAL, {"note": "\ud800"})
    with pytest.raises(HTTPException):
        store.remove_target("block", FINAL, "\ud800", {})
