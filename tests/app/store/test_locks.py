"""Nobody reads or writes the index while another is at it: each of these calls waits for the store's lock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from lib.store.datastore import FINAL, StudyStore
from lib.store.volumes import Volumes
from small_studies import hot_block, save_nifti

WAIT_S = 0.3  # a call that does not wait is over long before; on a machine too slow for that the test sees nothing

CALLS: dict[str, Callable[[StudyStore, Path], object]] = {
    "datalist": lambda store, _: store.datalist(),
    "get_label_uri": lambda store, _: store.get_label_uri("study", FINAL),
    "get_labeled_images": lambda store, _: store.get_labeled_images(),
    "get_labels_by_image_id": lambda store, _: store.get_labels_by_image_id("study"),
    "get_unlabeled_images": lambda store, _: store.get_unlabeled_images(),
    "json": lambda store, _: store.json(),
    "list_images": lambda store, _: store.list_images(),
    "status": lambda store, _: store.status(),
    "update_image_info": lambda store, _: store.update_image_info("study", {"a": 1}),
    "update_many_images_info": lambda store, _: store.update_many_images_info({"study": {"a": 1}}),
    "save_label": lambda store, label: store.save_label("study", str(label), FINAL, {}),
    "source": lambda store, _: store.source("study"),
    "study_id": lambda store, _: store.study_id("study"),
    "refresh": lambda store, _: store.refresh(),
}


@pytest.mark.parametrize("name", list(CALLS))
def test_a_call_waits_for_the_one_before(tmp_path, name):
    (tmp_path / "studies").mkdir()
    save_nifti(hot_block(), tmp_path / "studies" / "study.nii.gz")
    label = save_nifti((hot_block() > 4).astype("uint8"), tmp_path / "label.nii.gz")
    store = StudyStore(str(tmp_path / "studies"), Volumes(10**9), auto_reload=False)
    ended: list[str] = []
    thread = threading.Thread(target=lambda: ended.append(str(CALLS[name](store, label))), daemon=True)
    with store._lock:
        thread.start()
        thread.join(WAIT_S)
        assert not ended, "it did not wait"
        assert not (tmp_path / "studies" / "labels" / "final" / "study.nii.gz").exists()
    thread.join(30)
    assert len(ended) == 1
