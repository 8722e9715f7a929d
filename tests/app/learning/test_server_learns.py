"""The whole loop on a real server: a study is handed out, clicked, saved, trained on, and the next click is another."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest
import requests
from learning_studies import HELD_OUT, TRAINED_ON, Phantoms, save_shy_network
from lib.learning.trained_weights import trained_file
from running_server import MODEL, Server, start_server

from seganypet.data import load_studies
from seganypet.data.windows import WindowDataset
from seganypet.networks import load_network

pytestmark = pytest.mark.slow
STUDIES = sorted([HELD_OUT[2], *TRAINED_ON[2:5]])  # the one that is held out comes first, and so gets a label
QUALITIES = dict(zip(STUDIES, ("high", "low", "high", "low"), strict=True))
QUICK = {"max_epochs": 1, "windows": 16, "learning_rate": 0.003}


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Phantoms:
    return Phantoms.write(tmp_path_factory.mktemp("phantoms"), STUDIES)


@pytest.fixture(scope="module")
def server(tmp_path_factory, phantoms) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("learns")
    weights = save_shy_network(folder / "start.pt")
    yield from start_server(
        folder, phantoms.studies, "--conf", "weights", str(weights), "--conf", "encode_ahead_s", "0"
    )


def train(server: Server, params: dict | None = None, **query: bool) -> requests.Response:
    return requests.post(f"{server.url}/train/{MODEL}", params=query, json=params or {}, timeout=60)


def task(server: Server) -> dict:
    return requests.get(f"{server.url}/train/", timeout=60).json()


def wait_for_training(server: Server, *, until: float = 900) -> dict:
    end = time.monotonic() + until
    while (now := task(server))["status"] in ("SUBMITTED", "RUNNING"):
        assert time.monotonic() < end, now
        time.sleep(1)
    return now


def run_processes(phantoms: Phantoms) -> list[psutil.Process]:
    """Processes that train on these phantoms."""
    return [
        one
        for one in psutil.process_iter(["cmdline"])
        if "monai.bundle" in (one.info["cmdline"] or ()) and str(phantoms.studies) in " ".join(one.info["cmdline"])
    ]


def test_nothing_is_trained_before_somebody_saved_something(server):
    refused = train(server)
    assert (refused.status_code, refused.json()["detail"]) == (400, "no study has a final label yet: save one first")


def test_from_the_next_sample_to_better_weights(server, phantoms):
    client = server.client
    for _ in STUDIES[:3]:
        study = client.next_sample("first", {})["id"]
        answer = server.numbers(f"image={study}", phantoms.click(study))
        phantoms.save_truth(server, study, QUALITIES[study])
    (left,) = set(STUDIES) - {name for name, one in client.datastore()["objects"].items() if one["labels"]}
    bad = train(server, {"max_epochs": "many"})
    assert bad.status_code == 400
    assert "max_epochs" in bad.json()["detail"]
    bad = train(server, {"gpus": 1})  # MONAI Label takes text alone
    assert bad.status_code == 400
    assert "gpus must be text" in bad.json()["detail"]

    assert train(server, QUICK).status_code == 200
    assert train(server, QUICK).status_code == 429
    done = wait_for_training(server)
    assert done["status"] == "DONE", done["details"]
    assert any("published" in line for line in done["details"])

    stats = client.info()["train_stats"][MODEL]
    assert stats["outcome"] == "published", stats
    assert stats["best_metric"] > stats["start_metric"] + 0.05
    assert (stats["epoch"], stats["total_epochs"]) == (1, 1)
    trained = [study for study in STUDIES if study in TRAINED_ON and study != left]
    assert (stats["training"], stats["validation"]) == (len(trained), 3 - len(trained))
    end = time.monotonic() + 90
    while (after := server.numbers(f"image={left}", phantoms.click(left))["weights"])["hash"] == answer["weights"][
        "hash"
    ]:
        assert time.monotonic() < end, server.log.read_text()
        time.sleep(1)
    assert after == {"file": "model.pt", "hash": stats["weights"]}
    assert stats["weights_before"] == answer["weights"]["hash"]

    objects = client.datastore()["objects"]
    assert set(objects) == set(STUDIES)
    for study in set(STUDIES) - {left}:
        assert objects[study]["labels"]["final"]["info"]["quality"] == QUALITIES[study]
    assert client.info()["datastore"]["completed"] == 3
    runs = phantoms.studies / ".seganypet" / "runs"
    assert {file.name for file in next(runs.glob("2*")).iterdir()} >= {"data_list.json", "run.log", "result.json"}
    assert not list(runs.glob("*/checkpoint.pt"))

    # what a viewer said of a label is what the training process read, window by window, and weighs by
    (listed,) = runs.glob("2*/data_list.json")
    network = load_network(trained_file(phantoms.studies))
    sections = [load_studies([listed], name, network.settings) for name in ("training", "validation")]
    studies = [study for section in sections for study in section]
    assert sorted(one.high_quality for one in studies) == sorted(
        QUALITIES[study] == "high" for study in set(STUDIES) - {left}
    )
    for one in studies:
        (study,) = [study for study in STUDIES if study in one.name]
        assert one.high_quality == (QUALITIES[study] == "high")
    windows = WindowDataset(studies, network.settings, rungs=network.rungs, windows_per_study=1)
    assert [bool(windows[n]["high_quality"]) for n in range(len(studies))] == [one.high_quality for one in studies]


def test_stopping_ends_every_process_and_leaves_the_weights(server, phantoms):
    before = server.client.info()["models"][MODEL]["weights"]["hash"]
    assert train(server, {**QUICK, "max_epochs": 1000}).status_code == 200
    assert train(server, QUICK, enqueue=True).json()["status"] == "SUBMITTED"
    end = time.monotonic() + 200
    while not run_processes(phantoms):
        assert time.monotonic() < end, task(server)
        time.sleep(0.5)
    time.sleep(5)
    assert requests.delete(f"{server.url}/train/", timeout=60).status_code == 200
    assert psutil.wait_procs(run_processes(phantoms), timeout=20)[1] == []
    assert [one["status"] for one in requests.get(f"{server.url}/train/?all=true", timeout=60).json()[-2:]] == [
        "STOPPED",
        "STOPPED",
    ]
    assert server.client.info()["models"][MODEL]["weights"]["hash"] == before
