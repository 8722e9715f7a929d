"""Two servers on one studies folder: what one saves, the other neither loses nor hides."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from lib.store.datastore import FINAL, StudyStore
from lib.store.volumes import Volumes
from small_studies import hot_block, save_nifti

WAIT_S = 1.0  # a save that does not wait is over before; on a machine too slow for that the test sees nothing


@pytest.fixture
def studies(tmp_path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    for name in ("a", "b"):
        save_nifti(hot_block(), folder / f"{name}.nii.gz")
    return folder


def open_store(studies: Path) -> StudyStore:
    return StudyStore(str(studies), Volumes(10**9), auto_reload=False)


def save(store: StudyStore, study: str, target: str, slices: slice) -> None:
    voxels = np.zeros(hot_block().shape, np.uint8)
    voxels[slices] = 1
    file = save_nifti(voxels, store.root.parent / f"{study}_{target}.nii.gz")
    store.save_label(study, str(file), FINAL, {"label": target})


def targets(store: StudyStore, study: str) -> set[str]:
    return {target["name"] for target in store.get_label_info(study, FINAL)["targets"]}


def test_what_one_server_saved_is_kept_by_a_save_of_the_other(studies):
    one, two = open_store(studies), open_store(studies)
    save(one, "a", "liver", slice(0, 3))
    save(two, "b", "liver", slice(0, 3))
    save(two, "a", "spleen", slice(4, 6))
    save(one, "b", "spleen", slice(4, 6))
    one.refresh()
    two.refresh()
    for store in (one, two, open_store(studies)):
        assert targets(store, "a") == targets(store, "b") == {"liver", "spleen"}


@pytest.mark.parametrize("many", [False, True])
def test_what_is_said_of_an_image_loses_no_label_of_the_other_server(studies, many):
    one, two = open_store(studies), open_store(studies)
    save(one, "a", "liver", slice(0, 3))
    two.list_images()
    save(one, "a", "spleen", slice(4, 6))
    said = {"strategy": {"random": {"ts": 1}}}
    two.update_many_images_info({"a": said}) if many else two.update_image_info("a", said)
    for store in (two, open_store(studies)):
        assert targets(store, "a") == {"liver", "spleen"}
        assert store.get_image_info("a")["strategy"] == {"random": {"ts": 1}}


def test_a_save_while_the_other_server_writes_waits_and_is_merged(studies, monkeypatch):
    one, two = open_store(studies), open_store(studies)
    write = one._put_label
    other = threading.Thread(target=save, args=(two, "a", "spleen", slice(4, 6)), daemon=True)

    def write_while_the_other_saves(*args):
        other.start()
        other.join(WAIT_S)
        write(*args)

    monkeypatch.setattr(one, "_put_label", write_while_the_other_saves)
    save(one, "a", "liver", slice(0, 3))
    other.join(60)
    assert not other.is_alive()
    assert targets(open_store(studies), "a") == {"liver", "spleen"}


def test_what_is_said_removed_or_added_by_one_server_keeps_what_the_other_did(studies, tmp_path):
    one, two = open_store(studies), open_store(studies)
    save(one, "a", "liver", slice(0, 3))
    two.update_label_info("a", FINAL, {"quality": "high"})  # of a label it had not seen
    save(one, "b", "spleen", slice(4, 6))
    two.remove_target("b", FINAL, "spleen", {})
    two.remove_label("a", FINAL)
    one.add_image("c", str(save_nifti(hot_block() + 1, tmp_path / "c.nii.gz")), {})
    for store in (one, two, open_store(studies)):
        store.refresh()
        assert set(store.list_images()) == {"a", "b", "c"}
        assert not store.get_label_info("a", FINAL)
        assert store.get_label_info("b", FINAL)["targets"] == []
    assert len(list((studies / ".seganypet" / "removed" / "labels" / "final").glob("*_a.nii.gz"))) == 1
