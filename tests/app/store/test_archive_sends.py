"""A label that goes to the archive: what is saved while it travels stays, and the newest arrives last."""

from __future__ import annotations

import threading
from pathlib import Path

import nibabel as nib
import numpy as np
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import FINAL
from lib.store.findings import saved_targets
from lib.store.volumes import Volumes
from one_series_archive import OneSeries
from pydicom import dcmread
from small_studies import SHAPE

WAIT_S = 1.0  # a SEG that does not wait for the one before is sent by then


class SlowArchive(OneSeries):
    """An archive that takes its first SEG only when it is let."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked, self.let = threading.Event(), threading.Event()
        self.taken: list[set[str]] = []

    def store(self, file: Path) -> dict[str, str]:
        names = {str(segment.SegmentLabel) for segment in dcmread(file).SegmentSequence}
        if not self.asked.is_set():
            self.asked.set()
            assert self.let.wait(60)
        self.taken.append(names)
        return {"series_uid": f"1.2.{len(self.taken)}"}


def box(start: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[start : start + 3, 2:5, 2:5] = True
    return mask


def test_a_save_while_another_seg_travels_is_kept_and_arrives_last(tmp_path):
    archive = SlowArchive(tmp_path / "archive")
    store = ArchiveStore(archive, tmp_path / "cache", Volumes(10**9))
    study = archive.uid

    def save(name: str, start: int) -> threading.Thread:
        said = {"label": name, "replaces": ""}
        thread = threading.Thread(target=store.save_target, args=(study, FINAL, box(start), said), daemon=True)
        thread.start()
        return thread

    first = save("one", 2)
    assert archive.asked.wait(60)
    second = save("two", 12)
    second.join(WAIT_S)
    assert archive.taken == []
    volume = store.volumes.study(*store.source(study))[0]
    both = [target.about for target in saved_targets(store, study, volume)]
    assert [one["name"] for one in both] == ["one", "two"]
    archive.let.set()
    first.join(60)
    second.join(60)
    assert archive.taken == [{"one"}, {"one", "two"}]
    assert [target.about for target in saved_targets(store, study, volume)] == both
    info = store.get_label_info(study, FINAL)
    assert info["label_info"] == [{"name": "one", "idx": 1}, {"name": "two", "idx": 2}]
    assert info["seg"] == {"series_uid": "1.2.2"}
    kept = np.asanyarray(nib.load(store.get_label_uri(study, FINAL)).dataobj)
    np.testing.assert_array_equal(kept, box(2) + 2 * box(12))
