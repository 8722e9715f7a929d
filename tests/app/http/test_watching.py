"""Health, metrics, the number of a request, and its line in the log."""

from __future__ import annotations

import json
import re
import time

import pytest
import requests
from lib.http import health
from lib.store.datastore import StudyStore
from lib.store.volumes import Volumes
from running_server import MODEL
from small_studies import HOT_CENTRE

CLICK = {"foreground": [HOT_CENTRE], "background": []}


def lines(server) -> list[dict]:
    """The request lines of the server's log."""
    found = (line.partition('{"id": ') for line in server.log.read_text().splitlines())
    return [json.loads(begin + rest) for _, begin, rest in found if begin]


def line_of(server, number: str) -> dict:
    end = time.monotonic() + 30
    while not (found := [line for line in lines(server) if line["id"] == number]):
        assert time.monotonic() < end
        time.sleep(0.1)
    (line,) = found
    return line


def value(text: str, name: str) -> float:
    (found,) = re.findall(rf"^{re.escape(name)} (\S+)$", text, flags=re.M) or ["0"]
    return float(found)


def test_a_server_that_answers_is_ready(server):
    answer = requests.get(f"{server.url}/health", timeout=30)
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "reasons": []})


def test_a_request_keeps_its_number_from_the_proxy_to_the_log_and_no_line_names_a_study(server):
    given = {"X-Request-ID": "from-the-proxy.1"}
    data = {"params": json.dumps(CLICK)}
    url = f"{server.url}/infer/{MODEL}?image=becquerel"
    answer = requests.post(url, data=data, headers=given, timeout=60)
    assert answer.headers["x-request-id"] == "from-the-proxy.1"
    line = line_of(server, "from-the-proxy.1")
    assert (line["method"], line["route"], line["status"]) == ("POST", "/infer/{model}", 200)
    assert line["bytes"] == len(answer.content)
    made_up = requests.post(url, data=data, headers={"X-Request-ID": "a b\tc"}, timeout=60).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", made_up)
    assert "image=becquerel" not in server.log.read_text(), "uvicorn's own lines hold the query"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "infer/nobody?image=block", 404),
        ("POST", f"infer/{MODEL}?image=nobody", 404),
        ("POST", f"infer/{MODEL}?image=block&output=nonsense", 422),
        ("PUT", "model/x", 403),
        ("GET", "nowhere", 404),
        ("GET", "datastore/image?image=nobody", 404),
    ],
)
def test_what_is_refused_carries_its_number(server, method, path, status):
    answer = requests.request(method, f"{server.url}/{path}", data={"params": json.dumps(CLICK)}, timeout=60)
    assert answer.status_code == status
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert line_of(server, answer.json()["request_id"])["status"] == status


def test_metrics_count_clicks_by_stage_and_say_what_is_held(server):
    def metrics() -> str:
        answer = requests.get(f"{server.url}/metrics", timeout=30)
        assert answer.status_code == 200
        return answer.text

    route = 'seganypet_request_seconds_count{method="POST",route="/infer/{model}",status="200"}'
    server.numbers("image=block", CLICK)
    before = metrics()
    server.numbers("image=block", CLICK)
    after = metrics()
    assert value(after, route) == value(before, route) + 1
    stage = 'seganypet_click_stage_seconds_count{stage="decode"}'
    assert value(after, stage) == value(before, stage) + 1
    held = 'seganypet_cache_bytes{cache="embeddings"}'
    assert 0 < value(after, held) <= value(after, held.replace("bytes", "bytes_max"))
    assert value(after, 'seganypet_cache_bytes{cache="volumes"}') > 0
    assert value(after, "seganypet_studies") >= 3
    assert "becquerel" not in after


def test_methods_that_are_made_up_are_counted_as_one(server):
    name = 'seganypet_request_seconds_count{method="other",route="none",status="404"}'
    before = requests.get(f"{server.url}/metrics", timeout=30).text
    methods = [f"BREW{number}" + "X" * 20_000 for number in range(5)]
    for method in methods:
        answer = requests.request(method, f"{server.url}/nothing", timeout=30)
        assert line_of(server, answer.headers["x-request-id"])["method"] == "other"
    after = requests.get(f"{server.url}/metrics", timeout=30).text
    assert value(after, name) == value(before, name) + len(methods)
    assert "BREW" not in after
    assert "BREW" not in server.log.read_text()


def test_troubles_are_named_and_no_study_is(monkeypatch, tmp_path):
    class Free:
        free = 3 * 2**20

    class Weights:
        def info(self) -> dict:
            return {"problem": "truncated"}

    class App:
        weights = Weights()

        def datastore(self) -> object:
            return store

    store = StudyStore(str(tmp_path), Volumes(1), auto_reload=False)
    monkeypatch.setattr(health.shutil, "disk_usage", lambda path: Free())
    monkeypatch.setattr(store, "is_writable", lambda: False)
    assert list(health.troubles(App())) == [
        "the file of weights cannot be read, or a new one does not load; those before it are in force",
        "labels cannot be saved: the studies folder is read-only",
        "the disk of the studies folder has 3 MB left",
    ]
