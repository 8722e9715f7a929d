"""An archive that goes away and comes back: what was known stays, and what came meanwhile is listed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from archive_client import Client
from fastapi import HTTPException
from lib.store.archive import Archive
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import FINAL
from lib.store.findings import saved_targets
from lib.store.volumes import Volumes
from monailabel.interfaces.exception import ImageNotFoundException
from one_series_archive import OneSeries
from small_studies import SHAPE

from seganypet.pet import read_pet, write_seg


def test_what_was_known_stays_and_what_came_is_listed(tmp_path):
    client = Client()
    store = ArchiveStore(Archive(client), tmp_path, Volumes(10**9))
    assert (store.list_images(), store.trouble) == (["1.2.1"], "")
    client.away, client.series = True, ["1.2.1", "1.2.2"]
    store.refresh()
    assert (store.list_images(), store.trouble) == (["1.2.1"], "the archive does not answer")
    with pytest.raises(requests.ConnectionError):
        store.source("1.2.2")
    client.away = False
    store.refresh()
    assert (sorted(store.list_images()), store.trouble) == (["1.2.1", "1.2.2"], "")


def test_a_series_that_is_no_static_corrected_pet_is_not_listed_and_the_log_says_why_once(tmp_path, caplog):
    caplog.set_level("INFO")
    client = Client()
    client.series = ["1.2.1", "1.2.2", "1.2.3"]
    client.says = {
        "1.2.1": {"CorrectedImage": ["DECY", "ATTN"], "SeriesType": ["STATIC", "IMAGE"]},
        "1.2.2": {"CorrectedImage": ["DECY"]},
        "1.2.3": {"SeriesType": ["DYNAMIC", "IMAGE"]},
    }
    store = ArchiveStore(Archive(client), tmp_path, Volumes(10**9))
    store.refresh()
    assert store.list_images() == ["1.2.1"]
    assert caplog.text.count("not listed: series 1.2.2: CorrectedImage (0028,0051) is DECY, without ATTN") == 1
    with pytest.raises(ImageNotFoundException) as refused:
        store.source("1.2.3")
    assert "SeriesType (0054,1000) is DYNAMIC" in refused.value.msg


class WithSegs(OneSeries):
    """Has some SEGs, which it lists in no order."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.segs: dict[str, Path] = {}

    def fetch(self, study_uid: str, uid: str, folder: Path, *, listed: int = 0) -> int:
        if uid == self.uid:
            return super().fetch(study_uid, uid, folder, listed=listed)
        folder.mkdir()
        shutil.copyfile(self.segs[uid], folder / "1-1.dcm")
        return 1

    def segmentations(self, study_uid: str) -> list[str]:
        return list(self.segs)


class Taking(WithSegs):
    """Takes a SEG while it is there, and has one of another server."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.away, self.taken = False, 0

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
    archive.segs = {"1.2.840.1": tmp_path / "seg.dcm"}
    write_seg({"lesion": lesion, "liver": organ}, read_pet(archive.files[0].parent), tmp_path / "seg.dcm")
    store = ArchiveStore(archive, tmp_path / "cache", Volumes(10**9))
    volume = store.volumes.study(*store.source(archive.uid))[0]
    found = {one.about["name"]: one.mask for one in saved_targets(store, archive.uid, volume)}
    assert np.array_equal(found["lesion"], lesion)
    assert np.array_equal(found["liver"], organ & ~lesion)


def seg_of(volume, name, path, size=2, **said):
    mask = np.zeros(SHAPE, bool)
    mask[2 : 2 + size, 2:4, 2:4] = True
    write_seg({name: mask}, volume, path)
    header = pydicom.dcmread(path)
    assert (header.SeriesDate, header.SeriesTime) == (header.ContentDate, header.ContentTime)
    for keyword, value in said.items():
        setattr(header, keyword, value)
    header.save_as(path)
    return path


def names_taken_in(archive, folder):
    store = ArchiveStore(archive, folder, Volumes(10**9))
    return [one.about["name"] for one in saved_targets(store, archive.uid, store.volume(archive.uid))]


def test_of_segs_without_a_series_date_the_newest_content_is_taken_in(tmp_path):
    archive = WithSegs(tmp_path / "archive")
    volume = read_pet(archive.files[0].parent)
    undated = {"SeriesDate": "", "SeriesTime": "", "ContentDate": "20261101"}
    archive.segs = {
        f"1.2.{hour}": seg_of(volume, f"at {hour}", tmp_path / f"{hour}.dcm", ContentTime=f"{hour}0000", **undated)
        for hour in (11, 13, 12)
    }
    assert names_taken_in(archive, tmp_path / "cache") == ["at 13"]


def test_a_seg_of_another_reconstruction_does_not_hide_the_series_own(tmp_path):
    archive = WithSegs(tmp_path / "archive")
    volume = read_pet(archive.files[0].parent)
    own = seg_of(volume, "own", tmp_path / "own.dcm", SeriesDate="20261101")
    newer = seg_of(volume, "newer", tmp_path / "newer.dcm", SeriesDate="20261102")
    header = pydicom.dcmread(newer)
    header.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"
    header.save_as(newer)
    archive.segs = {"1.2.9": newer}
    assert names_taken_in(archive, tmp_path / "alone") == ["newer"]
    archive.segs = {"1.2.9": newer, "1.2.8": own}
    assert names_taken_in(archive, tmp_path / "cache") == ["own"]


def test_a_seg_whose_segment_would_vanish_is_passed_over(tmp_path, caplog):
    caplog.set_level("INFO")
    archive = WithSegs(tmp_path / "archive")
    mask = np.zeros(SHAPE, bool)
    mask[2:5, 2:5, 2:5] = True
    write_seg({"rater 1": mask, "rater 2": mask}, read_pet(archive.files[0].parent), tmp_path / "two.dcm")
    archive.segs = {"1.2.9": tmp_path / "two.dcm"}
    assert names_taken_in(archive, tmp_path / "cache") == []
    assert "wholly in others do not fit into a label map: rater" in caplog.text
