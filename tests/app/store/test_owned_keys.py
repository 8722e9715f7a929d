"""What is the server's to say of images and labels is not taken from clients; what was taken before stops nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi import HTTPException
from lib.store.datastore import FINAL, StudyStore
from lib.store.findings import removed_targets, saved_targets
from lib.store.owned_keys import is_folder_inside
from lib.store.volumes import Volumes
from monailabel.interfaces.exception import ImageNotFoundException
from small_studies import AFFINE, DICOM_AFFINE, hot_block, save_nifti

from seganypet.pet import write_pet_dicom_series


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    studies = tmp_path / "studies"
    studies.mkdir()
    save_nifti(hot_block(), studies / "block.nii.gz")
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, studies / "ann")
    return studies


def open_store(folder: Path) -> StudyStore:
    return StudyStore(str(folder), Volumes(10**9), auto_reload=False)


def save(store: StudyStore, info: dict, *, elsewhere: bool = False) -> None:
    hot = hot_block() > 4
    file = save_nifti((~hot if elsewhere else hot).astype("uint8"), store.root.parent / "upload.nii.gz", AFFINE)
    store.save_label("block", str(file), FINAL, info)


@pytest.mark.parametrize(
    "info",
    [
        {"folder": "/elsewhere"},
        {"folder": None},
        {"series_uid": "1.2.3"},
        {"about": 5},
        {"name": "another", "note": "free"},
        {"ts": "now"},
        {"path": "/elsewhere"},
        {"id": "block"},
        {"strategy": 5},
        {"strategy": {"random": {"ts": "now"}}},
        ["folder"],
    ],
)
def test_what_an_image_is_cannot_be_said_by_clients(folder, info, tmp_path):
    store = open_store(folder)
    before = store.json()
    named = next(iter(info)) if isinstance(info, dict) else "list"
    for say in (
        lambda: store.update_image_info("ann", info),
        lambda: store.add_image("new", str(save_nifti(hot_block() + 1, tmp_path / "new.nii.gz")), info),
    ):
        with pytest.raises(HTTPException, match=named) as refused:
            say()
        assert refused.value.status_code == 400
    assert store.json() == before
    store.update_image_info("ann", {"note": "free", "strategy": {"random": {"ts": 5, "client_id": "x"}}})
    assert store.get_image_info("ann")["note"] == "free"


def test_what_a_label_holds_cannot_be_said_by_clients(folder):
    store = open_store(folder)
    save(store, {"label": "lesion"})
    before = json.loads(json.dumps(store.get_label_info("block", FINAL)))
    for key in ("targets", "label_info", "suv_provenance", "seg", "name", "ts", "reader"):
        with pytest.raises(HTTPException, match=key) as refused:
            store.update_label_info("block", FINAL, {key: None, "note": "free"})
        assert refused.value.status_code == 400
    for key in ("targets", "came_from", "seg", "removed"):
        with pytest.raises(HTTPException, match=key):
            save(store, {"label": "node", key: {}})
    assert store.get_label_info("block", FINAL) == before
    store.update_label_info("block", FINAL, {"note": "free", "quality": "high"})
    said = store.get_label_info("block", FINAL)
    assert (said["note"], said["targets"][0]["quality"]) == ("free", "high")


@pytest.mark.parametrize(
    ("folder", "inside"),
    [
        ("ann/pet", True),
        (".", True),
        ("..ann", True),
        ("/elsewhere", False),
        ("../elsewhere", False),
        ("ann/../../elsewhere", False),
        ("", False),
        ("a\0b", False),
        (None, False),
        (5, False),
    ],
)
def test_folders_inside(folder, inside):
    assert is_folder_inside(folder) is inside


def test_a_folder_elsewhere_is_not_read_whatever_the_index_says(folder, tmp_path):
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, tmp_path / "elsewhere")
    store = open_store(folder)
    store._datastore.objects["ann"].image.info["folder"] = "../elsewhere"
    with pytest.raises(ImageNotFoundException, match="not in the studies folder"):
        store.source("ann")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("ann", {"folder": None}),
        ("ann", {"folder": "/elsewhere"}),
        ("ann", {"series_uid": 5}),
        ("ann", {"about": {}}),
        ("ann", {"about": 5}),
        ("block", {"about": 5, "strategy": 5, "ts": None}),
        ("block", {"series_uid": "1.2.3", "folder": "ann"}),
    ],
)
def test_an_index_from_before_does_not_keep_the_store_from_opening(folder, image, said):
    was = open_store(folder)
    save(was, {"label": "lesion", "client_id": "reader"})
    file = folder / "datastore_v2.json"
    index = json.loads(file.read_text())
    index["objects"][image]["image"]["info"].update(said)
    index["objects"]["block"]["labels"][FINAL]["info"].update(label_info=7, ts="now")
    file.write_text(json.dumps(index))
    store = open_store(folder)
    assert sorted(store.list_images()) == ["ann", "block"]
    assert store.source("ann")[0] == folder / "ann"
    info = store.get_image_info(image)
    assert isinstance(info.get("about", {}), dict)
    assert isinstance(info.get("strategy", {}), dict)
    assert ("series_uid" in info) is (image == "ann")
    kept = store.get_label_info("block", FINAL)
    assert (kept["client_id"], kept["targets"][0]["name"]) == ("reader", "lesion")
    assert not {"label_info", "ts"} & set(kept)


def test_a_label_of_which_nonsense_was_said_is_shown_and_saved_again(folder):
    was = open_store(folder)
    save(was, {"label": "lesion"})
    for file in ((folder / "labels" / FINAL / "block.json"), folder / "datastore_v2.json"):
        said = json.loads(file.read_text())
        info = said["objects"]["block"]["labels"][FINAL]["info"] if "objects" in said else said
        info["targets"] = None
        file.write_text(json.dumps(said))
    store = open_store(folder)
    volume = store.volumes.study(*store.source("block"))[0]
    assert saved_targets(store, "block", volume) == []
    save(store, {"label": "node"}, elsewhere=True)
    (folder / "datastore_v2.json").unlink()
    again = open_store(folder)
    assert [one.about["name"] for one in saved_targets(again, "block", volume)] == ["lesion", "node"]
    assert removed_targets(again, "block") == []
