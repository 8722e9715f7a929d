"""The studies folder under many hands: nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from fastapi import HTTPException
from lib.store import datastore
from lib.store.datastore import FINAL, StudyStore
from lib.store.volumes import Volumes
from monailabel.interfaces.exception import ImageNotFoundException
from small_studies import AFFINE, DICOM_AFFINE, SHAPE, hot_block, save_nifti

from seganypet.pet import write_pet_dicom_series


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_nifti(hot_block(), tmp_path / "block.nii.gz")
    return tmp_path


def open_store(folder: Path) -> StudyStore:
    return StudyStore(str(folder), Volumes(10**9), auto_reload=False)


def save_label(
    store: StudyStore, folder: Path, voxels: np.ndarray, info: dict, *, affine=AFFINE, study="block"
) -> None:
    file = folder / "labels" / "upload.nii.gz"
    nib.save(nib.Nifti1Image(voxels.astype(np.uint8), affine), file)
    store.save_label(study, str(file), "final", info)


def box(*corner: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[corner[0] : corner[0] + 2, corner[1] : corner[1] + 2, corner[2] : corner[2] + 2] = 1
    return mask


def test_several_targets_of_a_study_stand_beside_each_other(folder):
    store = open_store(folder)
    save_label(store, folder, box(0, 0, 0), {"label": "liver"})
    save_label(store, folder, box(4, 4, 4), {"label": "lesion"})
    save_label(store, folder, box(4, 4, 5), {"label": "liver"})
    info = store.get_label_info("block", "final")
    assert info["label_info"] == [{"name": "liver", "idx": 1}, {"name": "lesion", "idx": 2}]
    kept = nib.load(store.get_label_uri("block", "final"))
    expected = np.zeros(SHAPE, np.uint8)
    expected[4:6, 4:6, 5:7] = 1  # replaces its own former extent
    expected[4:6, 4:6, 4:6] = 2  # stays on top
    np.testing.assert_array_equal(kept.get_fdata(), expected)
    np.testing.assert_allclose(kept.affine, AFFINE)
    assert len(list((folder / ".seganypet" / "replaced" / "labels" / "final").glob("*.nii.gz"))) == 2


def cube(corner: int, size: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[corner : corner + size, corner : corner + size, corner : corner + size] = 1
    return mask


@pytest.mark.parametrize("order", list(permutations(("liver", "node", "lesion 1"))))
def test_lesions_and_smaller_targets_stay_on_top_in_whatever_order_they_are_saved(folder, order):
    masks = {"liver": cube(4, 8), "node": cube(5, 3), "lesion 1": cube(6, 4)}
    store = open_store(folder)
    for name in (*order, order[0]):
        save_label(store, folder, masks[name], {"label": name})
    info = store.get_label_info("block", "final")
    kept = np.asarray(nib.load(store.get_label_uri("block", "final")).dataobj)
    found = {entry["name"]: kept == entry["idx"] for entry in info["targets"]}
    lesion, node = masks["lesion 1"] > 0, masks["node"] > 0
    np.testing.assert_array_equal(found["lesion 1"], lesion)
    np.testing.assert_array_equal(found["node"], node & ~lesion)
    np.testing.assert_array_equal(found["liver"], (masks["liver"] > 0) & ~node & ~lesion)
    assert {entry["name"]: entry["drawn_voxels"] for entry in info["targets"]} == {
        "liver": 512,
        "node": 27,
        "lesion 1": 64,
    }


def test_a_target_that_lost_voxels_is_still_as_large_as_it_was_drawn(folder):
    store = open_store(folder)
    for name, mask in (("node", cube(4, 3)), ("spleen", cube(5, 4)), ("node", cube(6, 4) & ~cube(9, 1))):
        save_label(store, folder, mask, {"label": name})  # 27, 64 of which 8 were the node's, 63: more than 56
    kept = np.asarray(nib.load(store.get_label_uri("block", "final")).dataobj)
    assert (kept == 1).sum() == 63


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (("node", 2), ("lesion", 4), "'lesion' would leave nothing of 'node'"),
        (("lesion", 4), ("node", 2), "nothing of 'node' would be left under 'lesion'"),
        (("lesion 1", 3), ("lesion 2", 3), "'lesion 2' would leave nothing of 'lesion 1'"),
        (("lesion 2", 3), ("lesion 1", 3), "nothing of 'lesion 1' would be left under 'lesion 2'"),
    ],
)
def test_a_save_that_would_leave_nothing_of_a_target_is_refused(folder, first, second, words):
    store = open_store(folder)
    save_label(store, folder, cube(4, first[1]), {"label": first[0]})
    with pytest.raises(HTTPException) as refused:
        save_label(store, folder, cube(4, second[1]), {"label": second[0]})
    assert refused.value.status_code == 409
    assert words in refused.value.detail
    assert [entry["name"] for entry in store.get_label_info("block", "final")["targets"]] == [first[0]]


def test_a_whole_label_map_takes_the_former_ones_place(folder):
    store = open_store(folder)
    save_label(store, folder, box(0, 0, 0), {"label": "liver"})
    save_label(store, folder, box(4, 4, 4) * 3, {"label_info": [{"name": "spleen", "idx": 3}]})
    assert np.unique(nib.load(store.get_label_uri("block", "final")).get_fdata()).tolist() == [0, 3]
    save_label(store, folder, box(8, 8, 8), {"label": "heart"})
    assert store.get_label_info("block", "final")["label_info"] == [
        {"name": "spleen", "idx": 3},
        {"name": "heart", "idx": 4},
    ]


@pytest.mark.parametrize(
    ("voxels", "affine", "named"),
    [
        (np.zeros((3, 3, 3)), AFFINE, "[3, 3, 3]"),
        (np.zeros(SHAPE), AFFINE + np.array([[0, 0, 0, 9.0], [0] * 4, [0] * 4, [0] * 4]), "9.0 mm"),
        (np.zeros(SHAPE), np.diag([4.0, 4, 4, 1]), "beside its study"),
    ],
)
def test_labels_that_do_not_fit_their_study_are_refused(folder, voxels, affine, named):
    with pytest.raises(HTTPException) as refused:
        save_label(open_store(folder), folder, voxels, {}, affine=affine)
    assert refused.value.status_code == 400
    assert named in refused.value.detail


def test_many_threads_neither_lose_a_label_nor_see_an_empty_store(folder):
    for number in range(6):
        save_nifti(hot_block() + number, folder / f"study{number}.nii.gz")
    store = open_store(folder)
    uploads = folder / "uploads"
    uploads.mkdir()

    def work(number: int) -> int:
        file = uploads / f"{number}.nii.gz"
        nib.save(nib.Nifti1Image(box(number, number, number), AFFINE), file)
        study = f"study{number % 6}"
        store.save_label(study, str(file), "final", {"label": f"target {number}"})
        store.refresh()
        return len(store.list_images())

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(work, range(12))) == {7}
    for number in range(6):
        names = {entry["name"] for entry in store.get_label_info(f"study{number}", "final")["label_info"]}
        assert names == {f"target {number}", f"target {number + 6}"}
    assert json.loads((folder / "datastore_v2.json").read_text())["objects"].keys() == store.json()["objects"].keys()


def test_a_store_opened_again_knows_series_and_what_was_said_of_labels(folder):
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, folder / "ann" / "pet")
    store = open_store(folder)
    save_label(
        store, folder, box(1, 1, 1), {"label": "liver", "client_id": "reader"}, affine=DICOM_AFFINE, study="ann_pet"
    )
    again = open_store(folder)
    assert sorted(again.list_images()) == ["ann_pet", "block"]
    assert again.get_label_info("ann_pet", "final")["client_id"] == "reader"
    assert again.get_labeled_images() == ["ann_pet"]
    assert again.get_unlabeled_images() == ["block"]
    path, uid = again.source("ann_pet")
    assert path == folder / "ann" / "pet"
    assert again.study_id(uid) == "ann_pet"


def test_a_study_that_was_away_comes_back_with_its_labels(folder):
    store = open_store(folder)
    save_label(store, folder, box(1, 1, 1), {"label": "liver", "client_id": "reader"})
    (folder / "block.nii.gz").rename(folder / "elsewhere")
    store.refresh()
    assert store.list_images() == []
    (folder / "elsewhere").rename(folder / "block.nii.gz")
    store.refresh()
    info = store.get_label_info("block", "final")
    assert (info["client_id"], info["label_info"]) == ("reader", [{"name": "liver", "idx": 1}])


def test_series_are_told_apart_and_broken_ones_explained(folder):
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, folder / "two")
    for file in list((folder / "two").iterdir()):
        file.rename(file.with_name(f"first_{file.name}"))
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, folder / "two")
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, folder / "bob" / "deep" / "pet")
    broken = write_pet_dicom_series(hot_block(), DICOM_AFFINE, folder / "broken")
    broken[3].write_bytes(broken[3].read_bytes()[:400])
    store = open_store(folder)
    found = sorted(store.list_images())
    assert len(found) == 5
    assert found[:3] == ["block", "bob_deep_pet", "broken"]
    assert all(study.startswith("two_") for study in found[3:])
    with pytest.raises(ValueError, match=broken[3].name):
        store.volumes.study(*store.source("broken"))


def test_a_series_that_appears_later_is_found(folder):
    store = open_store(folder)
    store._looked = 0.0
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, folder / "late")
    assert store.source("late")[0] == folder / "late"


def test_a_patient_who_was_corrected_is_shown_as_such_and_notes_stay(folder):
    files = write_pet_dicom_series(hot_block(), DICOM_AFFINE, folder / "pet")
    store = open_store(folder)
    store.update_image_info("pet", {"note": "seen"})
    for file in files:
        header = pydicom.dcmread(file)
        header.PatientName, header.PatientID = "Right^Ann", "R1"
        header.save_as(file)
    store.refresh()
    info = open_store(folder).get_image_info("pet")
    assert (info["about"]["patient"], info["about"]["patient_id"], info["note"]) == ("Right^Ann", "R1", "seen")


def test_another_series_in_a_folder_does_not_inherit_labels(folder):
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, folder / "ann")
    store = open_store(folder)
    save_label(store, folder, box(1, 1, 1), {"label": "liver"}, affine=DICOM_AFFINE, study="ann")
    write_pet_dicom_series(hot_block() * 2, DICOM_AFFINE, folder / "ann")
    store.refresh()
    assert sorted(store.get_unlabeled_images()) == ["ann", "block"]
    assert len(list((folder / ".seganypet" / "replaced" / "labels" / "final").glob("*ann.nii.gz"))) == 1


def test_removed_files_are_put_aside(folder):
    store = open_store(folder)
    save_label(store, folder, box(1, 1, 1), {})
    store.remove_image("block")
    assert store.list_images() == []
    aside = sorted(path.name.split("_", 1)[1] for path in (folder / ".seganypet" / "removed").rglob("*.nii.gz"))
    assert aside == ["block.nii.gz", "block.nii.gz"]
    with pytest.raises(ImageNotFoundException, match="block"):
        store.source("block")


def test_a_dicom_series_is_never_removed(folder):
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, folder / "ann")
    with pytest.raises(HTTPException, match="DICOM series"):
        open_store(folder).remove_image("ann")
    assert len(list((folder / "ann").iterdir())) == SHAPE[2]


def test_a_label_stays_in_its_place_until_the_new_one_is_written(folder, monkeypatch):
    store = StudyStore(str(folder), Volumes(10**9), auto_reload=False)
    study = store.list_images()[0]
    shape = nib.load(store.get_image_uri(study)).shape
    affine = nib.load(store.get_image_uri(study)).affine
    label = folder / ".label.nii.gz"
    nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), affine), label)
    store.save_label(study, str(label), FINAL, {})
    kept = folder / "labels" / "final" / f"{study}.nii.gz"
    before = kept.read_bytes()

    @contextmanager
    def killed(target: Path) -> Iterator[Path]:
        raise KeyboardInterrupt
        yield target

    monkeypatch.setattr(datastore, "whole_file", killed)
    nib.save(nib.Nifti1Image(np.eye(*shape[:2], dtype=np.uint8)[..., None] * np.ones(shape, np.uint8), affine), label)
    with pytest.raises(KeyboardInterrupt):
        store.save_label(study, str(label), FINAL, {})
    assert kept.read_bytes() == before
    assert [file.read_bytes() for file in (folder / ".seganypet" / "replaced").rglob("*.nii.gz")] == [before]
