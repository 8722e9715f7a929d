"""An archive that goes away and comes back: what was known stays, and what came meanwhile is listed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import requests
from archive_client import Client
from fastapi import HTTPException
from lib.store.archive import Archive
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import FINAL
from lib.store.findings import saved_targets
from lib.store.volumes import Volumes
from one_series_archive import OneSeries
from small_studies import SHAPE

from seganypet.pet import read_pet, write_seg


def test_what_was_known_stays_and_what_came_is_listed(tmp_path):
    client = Client()
    store = ArchiveStore(Archive(client), tmp_path, Volumes(10**9))
    assert (store.list_images(), store.answered) == (["1.2.1"], True)
    client.away, client.series = True, ["1.2.1", "1.2.2"]
    store.refresh()
    assert (store.list_images(), store.answered) == (["1.2.1"], False)
    with pytest.raises(requests.ConnectionError):
        store.source("1.2.2")
    client.away = False
    store.refresh()
    assert (sorted(store.list_images()), store.answered) == (["1.2.1", "1.2.2"], True)


class Taking(OneSeries):
    """Takes a SEG while it is there, and has one of another server."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.away, self.taken, self.seg = False, 0, None

    def fetch(self, study_uid: str, uid: str, folder: Path, *, listed: int = 0) -> int:
        if uid == self.uid:
            return super().fetch(study_uid, uid, folder, listed=listed)
        folder.mkdir()
        shutil.copyfile(self.seg, folder / "seg.dcm")
        return 1

    def segmentations(self, study_uid: str) -> list[str]:
        return ["1.2.840.1"] if self.seg else []

    def store(self, file: Path) -> dict[str, str]:
        if self.away:
            raise requests.ConnectionError("refused")
        self.taken += 1
        return {"series_uid": f"1.2.{self.taken}"}


def test_a_label_that_did_not_arrive_is_sent_when_it_is_saved_again_and_then_no_more(tmp_path):
    archive = Taking(tmp_path / "archive")
    store = ArchiveStore(archive, tmp_path / "cache", Volumes(10**9))
    mask = np.zeros(SHAPE, bool)
    mask[2:5, 2:5, 2:5] = True
    said = {"label": "node", "replaces": ""}
    archive.away = True
    with pytest.raises(HTTPException) as refused:
        store.save_target(archive.uid, FINAL, mask, said)
    assert refused.value.status_code == 502
    archive.away = False
    for _ in range(2):
        (changed,) = store.save_target(archive.uid, FINAL, mask, said)
        assert archive.taken == 1
    assert store.get_label_info(archive.uid, FINAL)["seg"] == {"series_uid": "1.2.1"}
    store.save_target(archive.uid, FINAL, ~mask, {"label": "rest", "replaces": ""})
    assert archive.taken == 2
    for _ in range(2):
        store.remove_target(archive.uid, FINAL, "node", {"replaces": changed["after"]})
        assert archive.taken == 3


def test_of_overlapping_segments_in_the_archive_the_lesion_stays_on_top(tmp_path):
    archive = Taking(tmp_path / "archive")
    organ, lesion = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    organ[2:8, 2:8, 2:8] = True
    lesion[4:6, 4:6, 4:6] = True
    archive.seg = tmp_path / "seg.dcm"
    write_seg({"lesion": lesion, "liver": organ}, read_pet(archive.files[0].parent), archive.seg)
    store = ArchiveStore(archive, tmp_path / "cache", Volumes(10**9))
    volume = store.volumes.study(*store.source(archive.uid))[0]
    found = {one.about["name"]: one.mask for one in saved_targets(store, archive.uid, volume)}
    assert np.array_equal(found["lesion"], lesion)
    assert np.array_equal(found["liver"], organ & ~lesion)
