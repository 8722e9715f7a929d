"""What no route should see is refused before one does: closed paths, foreign pages, other names, too large bodies."""

from __future__ import annotations

import http.client
import json
import time
from urllib.parse import urlparse

import nibabel as nib
import numpy as np
import pytest
import requests
from running_server import MODEL
from small_studies import HOT_CENTRE

MANY = json.dumps({"name": "a", "voxels": [0] * 500_100}).encode()
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def raw(server, method: str, path: str) -> tuple[int, bytes]:
    """A request whose path no client library tidies up."""
    connection = http.client.HTTPConnection(urlparse(server.url).netloc, timeout=60)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/read/block/save", {"json": {"name": "a", "voxels": [0] * 500_100}}),
        (f"/infer/{MODEL}?image=block", {"data": {"params": json.dumps({"foreground": [0] * 500_100})}}),
        (f"/infer/{MODEL}?image=block", {"data": "a&" * 500_100, "headers": FORM}),
        ("/read/block/save", {"data": MANY}),
        ("/read/block/save", {"data": MANY, "headers": {"Content-Type": "application/x+json"}}),
        ("/read/block/save", {"data": iter([MANY[:99], MANY[99:]])}),
    ],
)
def test_millions_of_numbers_are_refused_before_they_are_unpacked(server, path, sent):
    answer = requests.post(f"{server.url}{path}", timeout=60, **sent)
    assert answer.status_code == 413, answer.text
    assert "more than 500000 values" in answer.json()["detail"]


def test_monitors_may_ask_with_head(server):
    for path in ("/health", "/"):
        answer = requests.head(f"{server.url}{path}", timeout=60)
        assert (answer.status_code, answer.content) == (200, b"")


def test_no_answer_names_the_servers_folders(server):
    bad = server.studies / "flat.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((4, 4)), np.eye(4)), bad)
    try:
        until = time.monotonic() + 60
        while (answer := server.click("image=flat", {"foreground": [[1, 1, 1]]})).status_code == 404:
            assert time.monotonic() < until  # not listed yet
            time.sleep(0.2)
    finally:
        bad.unlink()
    assert answer.status_code == 400
    assert "flat.nii.gz has shape (4, 4)" in answer.json()["detail"]
    assert str(server.studies) not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", f"/model/{MODEL}", 403),
        ("DELETE", f"/model/{MODEL}", 403),
        ("POST", "/reload", 403),
        ("POST", f"/infer/wsi/{MODEL}?image=/etc/passwd", 404),
        ("POST", f"/infer/wsi_v2/{MODEL}?image=/etc/passwd", 404),
        ("POST", f"/batch/infer/{MODEL}", 400),
        ("GET", "/proxy/dicom/..%2fsystem", 400),
        ("GET", "/proxy/dicom/../system", 400),
        ("GET", "/proxy/dicom/studies/%2e%2e/system", 400),
        ("GET", "/proxy/dicom/wado/instances/../../system", 400),
        ("GET", "/proxy/dicom/system", 404),
        ("GET", "/session/..", 400),
        ("DELETE", "/session/..", 400),
        ("DELETE", "/session/home", 404),
        ("GET", "/ohif/..", 400),
        ("GET", "/ohif/%2e%2e/%2e%2e/app.py", 400),
        ("GET", "/session/%2e%2e%2fx", 400),
    ],
)
def test_closed_doors(server, method, path, status):
    got, body = raw(server, method, path)
    assert got == status, body
    assert b'"detail"' in body


def test_archives_are_not_unpacked(server):
    answer = requests.put(f"{server.url}/session/?uncompress=true", files={"files": ("x.tar", b"")}, timeout=60)
    assert answer.status_code == 400
    assert "files" in answer.json()["detail"]


def test_foreign_pages_neither_read_nor_change(server):
    for origin, allowed in (("http://evil.example", False), ("http://localhost:3000", True), ("null", False)):
        headers = {"Origin": origin}
        answer = requests.get(f"{server.url}/info/", headers=headers, timeout=60)
        assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
        form = {"params": json.dumps({"foreground": [HOT_CENTRE], "background": []})}
        answer = requests.post(f"{server.url}/infer/{MODEL}?image=nobody", data=form, headers=headers, timeout=60)
        assert answer.status_code == (404 if allowed else 403)


def test_another_name_for_this_machine_is_refused(server):
    answer = requests.get(f"{server.url}/info/", headers={"Host": "evil.example:8000"}, timeout=60)
    assert answer.status_code == 421
    assert "evil.example" in answer.json()["detail"]
