"""What is corrected in a real Orthanc under the same UIDs, and labels there that could not be read at first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from lib.store.archive import Archive
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import FINAL
from lib.store.findings import saved_targets
from lib.store.volumes import Volumes
from oblique_study import SHAPE, write_study

from seganypet.pet import read_pet, write_seg


class Counting(Archive):
    """An archive that counts what is fetched of it, and cannot search for SEGs while that is said."""

    fetched, searchable = 0, True

    def fetch(self, study_uid: str, uid: str, folder: Path, *, listed: int = 0) -> int:
        self.fetched += 1
        return super().fetch(study_uid, uid, folder, listed=listed)

    def segmentations(self, study_uid: str) -> list[str]:
        if not self.searchable:
            raise requests.ReadTimeout("no answer")
        return super().segmentations(study_uid)


@pytest.fixture
def store(orthanc, tmp_path) -> ArchiveStore:
    store = ArchiveStore(Counting.open(orthanc.dicomweb), tmp_path / "cache", Volumes(10**9))
    store.checks.every_s = 0.0
    return store


def box(start: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[start : start + 4, 8:12, 8:12] = True
    return mask


@pytest.mark.parametrize("seen_gone", [False, True])
def test_a_weight_corrected_under_the_same_uids_is_shown_and_measured(store, orthanc, tmp_path, seen_gone):
    files = write_study(tmp_path / "study", seed=20)
    uid = str(pydicom.dcmread(files[0]).SeriesInstanceUID)
    orthanc.store(files)
    store.save_target(uid, FINAL, box(8), {"label": "node", "replaces": ""})
    before, fetched = store.volume(uid), store.archive.fetched
    (measured,) = saved_targets(store, uid, before)
    store.volume(uid)
    assert store.archive.fetched == fetched, "what is the same is not fetched again"
    for file in files:
        header = pydicom.dcmread(file)
        header.PatientWeight = str(float(header.PatientWeight) / 2)
        header.save_as(file)
    orthanc.delete_series(uid)
    if seen_gone:
        store.refresh()
        assert uid not in store.list_images()
    orthanc.store(files)
    after = store.volume(uid)
    np.testing.assert_allclose(after.suv, before.suv / 2, rtol=1e-3, atol=1e-4)
    (again,) = saved_targets(store, uid, after)
    assert again.about["tlg"] == pytest.approx(measured.about["tlg"] / 2, rel=1e-3)
    store.volume(uid)
    assert store.archive.fetched == fetched + 1
    orthanc.delete_series(uid)


def test_an_older_label_that_could_not_be_read_at_first_is_in_the_next_seg(store, orthanc, tmp_path):
    files = write_study(tmp_path / "study", seed=21)
    uid = str(pydicom.dcmread(files[0]).SeriesInstanceUID)
    write_seg({"older": box(8)}, read_pet(tmp_path / "study"), tmp_path / "seg.dcm")
    orthanc.store([*files, tmp_path / "seg.dcm"])
    before, store.archive.searchable = orthanc.series("SEG"), False
    with pytest.raises(Exception, match="could not be taken in first: the archive does not answer"):
        store.save_target(uid, FINAL, box(16), {"label": "mine", "replaces": ""})
    assert orthanc.series("SEG") == before
    store.archive.searchable = True
    store.save_target(uid, FINAL, box(16), {"label": "mine", "replaces": ""})
    (added,) = set(orthanc.series("SEG")) - set(before)
    (file,) = orthanc.files_of(added, tmp_path)
    assert {str(segment.SegmentLabel) for segment in pydicom.dcmread(file).SegmentSequence} == {"older", "mine"}
    orthanc.delete_series(uid)
