"""A label that could not be taken in from the archive is tried again, and no save here hides it before."""

from __future__ import annotations

import numpy as np
import pytest
import requests
from archive_client import SeriesClient
from fastapi import HTTPException
from lib.store.archive import Archive
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import FINAL
from lib.store.reader import READER
from lib.store.volumes import Volumes
from pydicom.uid import generate_uid
from small_studies import SHAPE

from seganypet.pet import SegmentOrigin, read_pet, write_seg


def box(start: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[start : start + 3, 2:5, 2:5] = True
    return mask


@pytest.fixture
def client(tmp_path) -> SeriesClient:
    """An archive with another server's label, which cannot be searched for SEGs at first."""
    client = SeriesClient(tmp_path / "archive")
    file = tmp_path / "seg.dcm"
    origins = {"older": SegmentOrigin(tracking_uid=generate_uid())}
    write_seg({"older": box(2)}, read_pet(client.files[0].parent), file, origins=origins)
    client.segs, client.away = {"1.2.840.1": file}, {"segs"}
    return client


def open_store(client, tmp_path) -> ArchiveStore:
    store = ArchiveStore(Archive(client), tmp_path / "cache", Volumes(10**9))
    if hasattr(store, "checks"):
        store.checks.every_s = 0.0
    return store


def names(store: ArchiveStore, client: SeriesClient) -> list[str]:
    return [one["name"] for one in store.get_label_info(client.uid, FINAL).get("targets", [])]


def sent(client: SeriesClient) -> list[set[str]]:
    return [{str(segment.SegmentLabel) for segment in seg.SegmentSequence} for seg in client.taken]


def save(store: ArchiveStore, client: SeriesClient, name: str, start: int) -> None:
    store.save_target(client.uid, FINAL, box(start), {"label": name, "replaces": ""})


@pytest.mark.parametrize("restarted", [False, True])
def test_a_search_that_failed_once_is_done_again(client, tmp_path, restarted):
    store = open_store(client, tmp_path)
    store.source(client.uid)
    assert names(store, client) == []
    client.away = set()
    store = open_store(client, tmp_path) if restarted else store
    store.source(client.uid)
    assert names(store, client) == ["older"]
    client.asked.clear()
    store.source(client.uid)
    assert client.asked == ["header"]


def test_a_first_save_takes_the_older_label_in_before_a_newer_seg_hides_it(client, tmp_path):
    store = ArchiveStore(Archive(client), tmp_path / "cache", Volumes(10**9))
    store.source(client.uid)
    client.away = set()
    somebody = READER.set("ann")
    save(store, client, "mine", 10)
    READER.reset(somebody)
    assert sent(client) == [{"older", "mine"}]
    targets = {one["name"]: one for one in store.get_label_info(client.uid, FINAL)["targets"]}
    assert (targets["mine"]["by"], targets["older"]["by"]) == ("ann", "archive")
    (segment,) = [one for one in client.taken[0].SegmentSequence if one.SegmentLabel == "older"]
    assert segment.TrackingUID == targets["older"]["tracking_uid"]


@pytest.mark.parametrize("restarted", [False, True])
def test_while_the_archive_cannot_be_searched_a_save_is_kept_here_and_hides_nothing(client, tmp_path, restarted):
    store = open_store(client, tmp_path)
    with pytest.raises(
        HTTPException, match=r"kept on this server.*taken in first: the archive does not answer"
    ) as refused:
        save(store, client, "mine", 10)
    assert refused.value.status_code == 502
    assert (names(store, client), client.taken) == (["mine"], [])
    store = open_store(client, tmp_path) if restarted else store
    client.away = set()
    save(store, client, "mine", 10)
    assert sent(client) == [{"older", "mine"}]
    save(store, client, "another", 20)
    assert sent(client)[1:] == [{"older", "mine", "another"}]


def test_of_two_targets_of_one_name_both_are_kept(client, tmp_path):
    store = open_store(client, tmp_path)
    with pytest.raises(HTTPException):
        save(store, client, "older", 10)
    client.away = set()
    store.source(client.uid)
    assert names(store, client) == ["older", "older (archive)"]
    save(store, client, "third", 20)
    assert sent(client) == [{"older", "older (archive)", "third"}]


def test_one_and_the_same_target_is_kept_once(client, tmp_path):
    store = open_store(client, tmp_path)
    with pytest.raises(HTTPException):
        save(store, client, "older", 2)
    client.away = set()
    save(store, client, "older", 2)
    assert sent(client) == [{"older"}]


def test_a_target_that_would_vanish_under_the_older_ones_is_not_sent_and_the_reader_is_told(client, tmp_path):
    store = open_store(client, tmp_path)
    with pytest.raises(HTTPException):
        save(store, client, "mine", 2)
    client.away = set()
    with pytest.raises(HTTPException, match="could not be taken in first") as refused:
        save(store, client, "mine", 2)
    assert refused.value.status_code == 502
    assert (names(store, client), client.taken) == (["mine"], [])


def test_a_label_that_was_removed_here_does_not_come_back(client, tmp_path):
    client.away = set()
    store = open_store(client, tmp_path)
    store.source(client.uid)
    assert names(store, client) == ["older"]
    store.remove_label(client.uid, FINAL)
    store.source(client.uid)
    open_store(client, tmp_path).source(client.uid)
    assert names(store, client) == []


def test_a_label_of_an_earlier_version_is_not_mixed_with_what_it_replaced(client, tmp_path):
    client.away = set()
    store = open_store(client, tmp_path)
    store.source(client.uid)
    save(store, client, "mine", 10)
    store.remove_target(client.uid, FINAL, "older", {})
    for file in (store.root / ".seganypet" / "archive_labels").iterdir():
        file.unlink()
    store = open_store(client, tmp_path)
    store.source(client.uid)
    save(store, client, "another", 20)
    assert names(store, client) == ["mine", "another"]


def test_a_label_removed_here_stays_removed_when_its_series_is_fetched_again(client, tmp_path):
    client.away = set()
    store = open_store(client, tmp_path)
    store.source(client.uid)
    assert names(store, client) == ["older"]
    store.remove_label(client.uid, FINAL)
    client.correct(PatientWeight="37.5")
    open_store(client, tmp_path).source(client.uid)
    assert names(open_store(client, tmp_path), client) == []


def test_what_an_earlier_version_fetched_and_somebody_removed_does_not_come_back(client, tmp_path):
    client.away = set()
    store = open_store(client, tmp_path)
    store.source(client.uid)
    store.remove_label(client.uid, FINAL)
    for file in (store.root / ".seganypet" / "archive_labels").iterdir():
        file.unlink()
    store = open_store(client, tmp_path)
    store.source(client.uid)
    assert names(store, client) == []


@pytest.mark.parametrize("status", [500, 403])
def test_a_seg_that_the_archive_cannot_give_hinders_no_save(client, tmp_path, monkeypatch, status):
    client.away = set()
    whole = client.iter_series

    def refuse(study, series, *said, **more):
        if series == client.uid:
            return whole(study, series, *said, **more)
        response = requests.Response()
        response.status_code = status
        raise requests.HTTPError("no", response=response)

    monkeypatch.setattr(client, "iter_series", refuse)
    store = open_store(client, tmp_path)
    save(store, client, "mine", 10)
    assert sent(client)[-1] == {"mine"}


def test_an_archive_without_such_a_search_takes_labels_all_the_same(client, tmp_path, monkeypatch):
    def no_search(*_, search_filters, **more):
        if search_filters["Modality"] == "PT":
            return SeriesClient.search_for_series(client, search_filters=search_filters, **more)
        response = requests.Response()
        response.status_code = 501
        raise requests.HTTPError("not implemented", response=response)

    monkeypatch.setattr(client, "search_for_series", no_search)
    store = open_store(client, tmp_path)
    save(store, client, "mine", 10)
    assert sent(client) == [{"mine"}]
