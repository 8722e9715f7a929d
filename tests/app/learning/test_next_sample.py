"""Which study is handed out next, by scores, and what scoring leaves."""

from __future__ import annotations

import cProfile
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
import torch
from fastapi import HTTPException
from learning_studies import OneSeriesArchive
from lib.clicks.weights import Weights
from lib.learning import next_study as strategies
from lib.learning.next_study import Diversity, First, HandedOut, Random, Uncertainty
from lib.learning.scores import KEY, Scores, keep_score, to_score
from lib.learning.scoring import UncertaintyScoring
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import StudyStore
from lib.store.volumes import Volumes
from running_server import save_everything_network
from small_studies import AFFINE, HOT, SHAPE, hot_block, save_nifti

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    studies = tmp_path / "studies"
    studies.mkdir()
    for name in NAMES:
        save_nifti(hot_block(), studies / f"{name}.nii.gz")
    return StudyStore(str(studies), Volumes(2**30), auto_reload=False)


def save_label(store: StudyStore, study: str) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[HOT] = 1
    file = store.root.parent / "label.nii.gz"
    nib.save(nib.Nifti1Image(mask, AFFINE), file)
    store.save_label(study, str(file), "final", {"label_info": [{"name": "lesion", "idx": 1}]})


def give(store: StudyStore, scores: dict[str, float | None], features: dict[str, list[float]] | None = None) -> None:
    for study, score in scores.items():
        entry = {"score": score, "weights": "0"} | ({"features": features[study]} if features else {})
        keep_score(store, study, entry)


def ask(strategy, store: StudyStore) -> str:
    return strategy({"strategy": "?"}, store)["id"]


def test_scores_reach_the_index_and_nothing_else_changes(store):
    save_label(store, "a")
    before = store.json()["objects"]
    give(store, {"b": 0.25, "gone": 1.0})
    scores = Scores(store)
    scores.take_in()
    after = json.loads((store.root / "datastore_v2.json").read_text())["objects"]
    assert after["b"]["image"]["info"].pop(KEY) == {"score": 0.25, "weights": "0"}
    assert after == json.loads(json.dumps(before, default=str))
    (store.root / ".seganypet" / "scores" / "b.json").write_text("{half")
    scores.take_in()
    assert store.get_image_info("b")[KEY]["score"] == 0.25


def test_the_least_sure_first_and_never_the_same_twice(store):
    give(store, {"a": 0.1, "b": 0.9, "c": None, "d": 0.5})
    save_label(store, "d")
    strategy = Uncertainty(Scores(store), HandedOut())
    answers = [strategy({"strategy": "uncertainty"}, store) for _ in range(4)]
    assert [answer["id"] for answer in answers] == ["b", "a", "c", "b"]  # c has no score; then all were handed out
    assert answers[0]["score"] == 0.9
    assert "no study left is scored" in answers[2]["why"]
    assert "handed out lately" in answers[3]["why"]


def test_readers_who_ask_at_once_get_different_studies(store):
    give(store, dict.fromkeys(NAMES, 0.5))
    handed_out, scores = HandedOut(), Scores(store)
    asked = [Uncertainty(scores, handed_out), Diversity(scores, handed_out)] * 2
    with ThreadPoolExecutor(4) as readers:
        assert sorted(readers.map(lambda strategy: ask(strategy, store), asked)) == list(NAMES)


def test_a_study_handed_out_long_ago_comes_again(store, monkeypatch):
    give(store, {"a": 0.1, "b": 0.9})
    strategy = Uncertainty(Scores(store), HandedOut())
    assert ask(strategy, store) == "b"
    later = time.monotonic() + strategies.KEPT_FOR_S
    monkeypatch.setattr(strategies.time, "monotonic", lambda: later)
    assert ask(strategy, store) == "b"


def test_the_farthest_from_what_is_labelled_or_in_hands(store):
    give(store, dict.fromkeys(NAMES, 0.5), {"a": [0.0], "b": [10.0], "c": [4.0], "d": [9.0]})
    save_label(store, "a")
    strategy = Diversity(Scores(store), HandedOut())
    assert [ask(strategy, store) for _ in range(3)] == ["b", "c", "d"]  # d lies beside b, which is in a reader's hands


def test_without_scores_and_without_studies_left(store):
    for kind in (Uncertainty, Diversity):
        strategy = kind(Scores(store), HandedOut())
        assert [ask(strategy, store) for _ in range(2)] == ["a", "b"]
    for name in NAMES:
        save_label(store, name)
    assert Uncertainty(Scores(store), HandedOut())({}, store) is None


def test_what_could_not_be_read_is_handed_out_when_nothing_else_is_left(store):
    give(store, {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6})
    for strategy in (
        First(lambda: {"a"}),
        Random(lambda: {"a"}),
        Uncertainty(Scores(store), HandedOut(), lambda: {"a"}),
    ):
        assert {ask(strategy, store) for _ in range(3)} <= {"b", "c", "d"}
    assert ask(First(lambda: set(NAMES)), store) == "a"


def test_choosing_among_a_thousand_studies_takes_few_calls_for_each(tmp_path, monkeypatch):
    """Counted instead of timed, without the walk through the folder (every 5 s, 0.1 s): 7 calls a study, 4 ms."""
    names = [f"study_{number:04d}" for number in range(1000)]
    for name in names:
        (tmp_path / f"{name}.nii.gz").touch()
    store = StudyStore(str(tmp_path), Volumes(2**30), auto_reload=False)
    give(store, {name: number / 1000 for number, name in enumerate(names)}, dict.fromkeys(names, [1.0] * 6))
    monkeypatch.setattr(store, "_look_for_series", lambda: None)
    scores = Scores(store)
    scores.take_in()
    for kind, expected in ((Uncertainty, names[-1]), (Diversity, names[0])):
        strategy = kind(scores, HandedOut())
        with cProfile.Profile() as profile:
            assert ask(strategy, store) == expected
        assert sum(entry.callcount for entry in profile.getstats()) < 15 * len(names)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Weights:
    file = save_everything_network(tmp_path_factory.mktemp("weights") / "model.pt")
    return Weights(file, torch.device("cpu"), cache_bytes=10**8)


def score(store: StudyStore, weights: Weights, monkeypatch, **request) -> dict:
    monkeypatch.setattr("lib.learning.scoring.os.nice", lambda _: 0)  # this process is not for scoring alone
    return UncertaintyScoring(store, weights)({"method": "uncertainty", **request}, store)


def test_scoring_leaves_scores_until_the_weights_change(store, weights, tmp_path, monkeypatch):
    (store.root / "d.nii.gz").write_bytes(b"no image")
    save_label(store, "c")
    done = score(store, weights, monkeypatch)
    assert (done["scored"], list(done["problems"])) == (3, ["d"])
    Scores(store).take_in()
    known = {name: store.get_image_info(name)[KEY] for name in NAMES}
    assert {name: one["score"] for name, one in known.items()} == {"a": 0.0, "b": 0.0, "c": None, "d": None}
    assert known["a"]["peaks"] == 1
    assert known["a"]["features"] == known["c"]["features"]
    assert "problem" in known["d"]
    assert {one["weights"] for one in known.values()} == {weights.segmenter().weights_hash}
    assert score(store, weights, monkeypatch)["scored"] == 0
    other = save_everything_network(tmp_path / "other.pt", seed=1)
    done = score(store, weights, monkeypatch, weights_in_force=str(other))
    assert done["weights"] != weights.segmenter().weights_hash
    assert (done["scored"], len(done["problems"])) == (2, 1)  # of a labelled study only its features are asked


def test_what_could_not_be_read_is_scored_once_it_is_there(store, weights, monkeypatch):
    whole = (store.root / "d.nii.gz").read_bytes()
    (store.root / "d.nii.gz").write_bytes(whole[:100])  # being copied
    assert list(score(store, weights, monkeypatch)["problems"]) == ["d"]
    assert score(store, weights, monkeypatch) == {
        "weights": weights.segmenter().weights_hash,
        "scored": 0,
        "problems": {},
    }
    (store.root / "d.nii.gz").write_bytes(whole)
    os.utime(store.root / "d.nii.gz", ns=(1, 1))  # as rsync does, with the time of where it came from
    assert score(store, weights, monkeypatch)["scored"] == 1
    assert Scores(store).known()["d"]["score"] is not None


def test_an_archive_that_did_not_answer_is_asked_again(tmp_path, weights, monkeypatch):
    archive = OneSeriesArchive(tmp_path / "archive")
    store = ArchiveStore(archive, tmp_path / "cache", Volumes(2**30))
    fetch = archive.fetch

    def away(*_, **__):
        raise requests.ConnectionError("away")

    monkeypatch.setattr(archive, "fetch", away)
    assert list(score(store, weights, monkeypatch, fetch=True)["problems"]) == [archive.series.uid]
    monkeypatch.setattr(archive, "fetch", fetch)
    assert score(store, weights, monkeypatch, fetch=True)["scored"] == 1


def test_a_series_that_is_not_here_is_scored_where_it_may_be_fetched(tmp_path, weights, monkeypatch):
    archive = OneSeriesArchive(tmp_path / "archive")
    store = ArchiveStore(archive, tmp_path / "cache", Volumes(2**30))
    assert to_score(store, {}, "0") == []
    assert to_score(store, {}, "0", fetch=True) == [archive.series.uid]
    assert score(store, weights, monkeypatch, fetch=True)["scored"] == 1
    Scores(store).take_in()
    assert store.get_image_info(archive.series.uid)[KEY]["score"] == 0.0


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({"seconds_per_study": 0}, "seconds_per_study must be a number above 0, got 0"),
        ({"seconds_per_study": "1"}, "seconds_per_study"),
        ({"fetch": "no"}, "fetch must be true or false"),
        ({"seconds": 1}, "does not know seconds; it knows seconds_per_study, fetch"),
    ],
)
def test_what_cannot_be_is_refused_by_name(store, weights, request_, named):
    with pytest.raises(HTTPException, match=named) as refused:
        UncertaintyScoring(store, weights).check({"method": "uncertainty", **request_})
    assert refused.value.status_code == 400
