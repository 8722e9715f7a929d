"""What is corrected in an archive under the same UIDs is seen here, and never at the cost of the copy that is here."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import requests
from archive_client import SeriesClient
from lib.store.archive import Archive
from lib.store.archive_checks import Checks
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import FINAL
from lib.store.findings import saved_targets
from lib.store.series_cache import SERIES
from lib.store.series_changes import FIELDS, differences
from lib.store.volumes import Volumes
from pydicom.dataset import Dataset
from small_studies import SHAPE

PEAK = 8  # of the phantom


def open_store(client, tmp_path) -> ArchiveStore:
    """A store that checks with every call."""
    store = ArchiveStore(Archive(client), tmp_path / "cache", Volumes(10**9))
    if hasattr(store, "checks"):
        store.checks.every_s = 0.0
    return store


@pytest.fixture
def client(tmp_path) -> SeriesClient:
    return SeriesClient(tmp_path / "archive")


def peak(store: ArchiveStore) -> float:
    return float(store.volume(store.list_images()[0]).suv.max())


def test_a_weight_that_was_corrected_changes_what_is_shown_and_what_is_measured(client, tmp_path):
    store, mask = open_store(client, tmp_path), np.zeros(SHAPE, bool)
    mask[2:20, 2:20, 2:20] = True
    store.save_target(client.uid, FINAL, mask, {"label": "node", "replaces": ""})
    (before,) = store.get_label_info(client.uid, FINAL)["targets"]
    client.correct(PatientWeight="37.5")
    shown = store.volume(client.uid)
    assert shown.suv.max() == pytest.approx(PEAK / 2, rel=0.01)
    (after,) = saved_targets(store, client.uid, shown)
    assert after.about["tlg"] == pytest.approx(before["tlg"] / 2, rel=0.01)
    assert store.get_label_info(client.uid, FINAL)["targets"] == [after.about]
    np.testing.assert_array_equal(after.mask, mask)


def test_a_dose_that_was_corrected_while_the_server_stood_is_seen_when_the_study_is_opened(client, tmp_path):
    assert peak(open_store(client, tmp_path)) == pytest.approx(PEAK, rel=0.01)
    tracer = Dataset()
    tracer.update(client_tracer(client))
    tracer.RadionuclideTotalDose = str(float(tracer.RadionuclideTotalDose) * 2)
    client.correct(RadiopharmaceuticalInformationSequence=[tracer])
    assert peak(open_store(client, tmp_path)) == pytest.approx(PEAK / 2, rel=0.01)


def test_a_patient_who_was_corrected_is_whose_seg_is_sent_and_no_log_names_her(client, tmp_path, caplog):
    caplog.set_level("INFO")
    store, mask = open_store(client, tmp_path), np.zeros(SHAPE, bool)
    mask[2:20, 2:20, 2:20] = True
    store.source(client.uid)
    client.correct(PatientID="R1", PatientName="Right^Ann", PatientBirthDate="19700101", AccessionNumber="A7")
    store.save_target(client.uid, FINAL, mask, {"label": "node"})
    (seg,) = client.taken
    said = (seg.PatientID, str(seg.PatientName), seg.PatientBirthDate, seg.AccessionNumber)
    assert said == ("R1", "Right^Ann", "19700101", "A7")
    assert "changed in the archive: a patient's name or number" in caplog.text
    assert "Ann" not in caplog.text


def client_tracer(client: SeriesClient) -> Dataset:
    return next(client.iter_series("", client.uid)).RadiopharmaceuticalInformationSequence[0]


def test_within_the_interval_a_click_asks_for_nothing_and_after_it_for_one_header(client, tmp_path):
    store = ArchiveStore(Archive(client), tmp_path / "cache", Volumes(10**9))
    store.volume(client.uid)
    client.asked.clear()
    for _ in range(5):
        store.volume(client.uid)
    assert client.asked == []
    store.checks.every_s = 0.0
    store.volume(client.uid)
    assert client.asked == ["header"]


def test_of_an_archive_that_counts_nothing_what_was_still_arriving_is_fetched(tmp_path):
    client = SeriesClient(tmp_path / "archive", counted=False)
    everything = client.files
    client.files = everything[:20]
    store = open_store(client, tmp_path)
    assert store.volume(client.uid).shape[2] == 20
    client.files = everything
    assert store.volume(client.uid).shape[2] == len(everything)
    client.asked.clear()
    store.volume(client.uid)
    assert "files" not in client.asked


def test_a_series_that_is_gone_and_comes_back_is_fetched_anew_and_keeps_its_label(client, tmp_path):
    store, mask = open_store(client, tmp_path), np.zeros(SHAPE, bool)
    mask[2:5, 2:5, 2:5] = True
    store.save_target(client.uid, FINAL, mask, {"label": "node", "replaces": ""})
    client.listed = False
    store.refresh()
    folder = store.root / SERIES / client.uid
    assert store.list_images() == []
    assert len(list(folder.glob("*.dcm"))) == SHAPE[2], "somebody may be reading them"
    client.listed = True
    client.correct(PatientWeight="37.5")
    store.refresh()
    assert peak(store) == pytest.approx(PEAK / 2, rel=0.01)
    assert [one["name"] for one in store.get_label_info(client.uid, FINAL)["targets"]] == ["node"]


def test_a_series_that_is_not_listed_is_not_fetched_again_with_every_list(client, tmp_path):
    """As of an archive that lists the newest thousand."""
    store = open_store(client, tmp_path)
    store.source(client.uid)
    client.listed = False
    store.refresh()
    client.listed = True
    store.refresh()
    client.asked.clear()
    store.source(client.uid)
    assert "files" not in client.asked


def test_a_click_does_not_wait_for_a_series_that_comes_slowly(client, tmp_path, monkeypatch):
    store, let = open_store(client, tmp_path), threading.Event()
    store.checks.wait_s = 0.1
    assert peak(store) == pytest.approx(PEAK, rel=0.01)
    client.correct(PatientWeight="37.5")
    fetch = store.archive.fetch
    monkeypatch.setattr(Archive, "fetch", lambda _, *said, **more: let.wait(60) and fetch(*said, **more))
    begun = time.monotonic()
    for _ in range(3):
        assert peak(store) == pytest.approx(PEAK, rel=0.01)
    assert time.monotonic() - begun < 20
    let.set()
    until = time.monotonic() + 60
    while peak(store) > 0.6 * PEAK:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_an_archive_that_does_not_answer_is_asked_once_in_a_while_and_what_is_here_is_shown(client, tmp_path):
    open_store(client, tmp_path).volume(client.uid)
    client.correct(PatientWeight="37.5")
    client.away = {"all"}
    store = ArchiveStore(Archive(client), tmp_path / "cache", Volumes(10**9))
    client.asked.clear()
    for _ in range(3):
        assert store.volume(client.uid).suv.max() == pytest.approx(PEAK, rel=0.01)
    assert client.asked == ["header"]


def test_a_correction_that_arrives_in_part_leaves_the_copy_that_is_here(client, tmp_path):
    store = open_store(client, tmp_path)
    folder = store.source(client.uid)[0]
    client.correct(PatientWeight="37.5")
    client.away = {"rest"}
    assert peak(store) == pytest.approx(PEAK, rel=0.01)
    assert len(list(folder.glob("*.dcm"))) == SHAPE[2]
    client.away = set()
    assert peak(store) == pytest.approx(PEAK / 2, rel=0.01)
    assert sorted(one.name for one in folder.parent.iterdir()) == [client.uid]


def test_an_archive_that_says_otherwise_than_the_files_it_sends_is_fetched_from_once(client, tmp_path):
    store = open_store(client, tmp_path)
    store.source(client.uid)
    client.says = {"PatientWeight": "71"}
    for _ in range(3):
        store.source(client.uid)
    assert client.asked.count("files") == 2
    client.says = {}
    client.correct(PatientWeight="37.5")
    assert peak(store) == pytest.approx(PEAK / 2, rel=0.01)


def test_a_click_waits_for_no_archive_that_hangs():
    let, checks = threading.Event(), Checks(60.0, wait_s=0.1)
    begun = time.monotonic()
    for study in ("a", "a", "b"):
        checks.run(study, lambda: let.wait(60) and None)
    assert time.monotonic() - begun < 5
    let.set()


def test_an_archive_behind_a_proxy_that_says_503_does_not_answer(tmp_path):
    class Busy(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(503)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        archive = Archive.open(f"http://127.0.0.1:{server.server_port}/dicom-web")
        with pytest.raises(requests.RequestException, match="503"):
            archive.pet_series()
        assert "(503)" in ArchiveStore(archive, tmp_path, Volumes(10**9)).trouble
        server.shutdown()


@pytest.mark.parametrize(
    ("keyword", "value", "same", "other"),
    [
        ("PatientWeight", "70", "70.0", "7"),
        ("SeriesTime", "101500", "101500.000", "101501"),
        ("Units", "BQML", "BQML ", "GML"),
        ("CorrectedImage", ["DECY", "ATTN"], ["DECY", "ATTN"], ["DECY"]),
        ("RadionuclideTotalDose", "3.7e8", "370000000", "3.7e7"),
        ("PatientName", "Yamada^Tarou^^=山田^太郎", "Yamada^Tarou=^", "Yamada^Hana=山田^太郎"),
    ],
)
def test_the_same_in_another_writing_is_no_change(keyword, value, same, other):
    assert keyword in FIELDS
    assert differences(header(keyword, value), header(keyword, same)) == ()
    (said,) = differences(header(keyword, value), header(keyword, other))
    assert said.startswith(f"{keyword} is ")
    assert differences(header(keyword, value), Dataset()) == (f"{keyword} is missing",)
    assert differences(header(keyword, value), None) == ("an instance is not there any more",)


def header(keyword: str, value: object) -> Dataset:
    one = Dataset()
    setattr(one, keyword, value)
    if keyword == "RadionuclideTotalDose":
        outer = Dataset()
        outer.RadiopharmaceuticalInformationSequence = [one]
        return outer
    return one
