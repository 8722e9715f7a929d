"""Random requests after the server's own OpenAPI, and to its pages' and protocols' routes, which that does not list:
never a 5xx, never a hang, and the next click is right."""

from __future__ import annotations

import collections
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nibabel as nib
import numpy as np
import requests as http
from demo_server import server_process
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st
from reliability.asked import HANG_S, MODEL, Asked, anything, odd_value
from reliability.unlisted_routes import unlisted_requests

from seganypet.pet import write_pet_dicom_series

APP = Path(__file__).resolve().parents[2] / "apps" / "seganypet_label"
CLICK_EVERY = 100  # requests between two clicks whose mask is known
METHODS = ("get", "post", "put", "delete", "patch", "head", "options")

# a server that scores answers as before, but takes the cores of whoever waits for the fuzz to end
LONG = {("post", "/scoring/"), ("post", "/scoring/{method}")}


def requests(count: int = 10_000, seed: int = 0) -> None:
    """Ask a server of its own, with three small studies, and end with status 1 where it answers as it must not.

    Args:
        count: how many.
        seed: of everything random.
    """
    with tempfile.TemporaryDirectory(prefix="seganypet-fuzz-") as temporary:
        folder = Path(temporary)
        study = _write_studies(folder / "studies")
        conf = {"encode_ahead_s": 0, "drawing_alive_s": 3600, "drawing_idle_s": 3600}
        environment = {
            "OMP_WAIT_POLICY": "passive",
            **os.environ,
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
        }
        for name in ("home", "tmp"):
            (folder / name).mkdir()
        with server_process(APP, folder / "studies", folder / "server.log", conf, environment) as (url, _):
            counts = _ask(url, study, count, seed)
    print(f"seed {seed}: {sum(counts.values())} requests, no 5xx, none over {HANG_S:g} s, every click right")
    print("answers: " + ", ".join(f"{status}: {count}" for status, count in sorted(counts.items())))


def _write_studies(folder: Path) -> Path:
    """Two NIfTI studies and one of DICOM files; the path of one that is clicked with every check."""
    folder.mkdir(parents=True)
    voxels = np.ones((24, 20, 30), np.float32)
    voxels[6:10, 4:8, 10:15] = 8
    for name in ("block", "study"):
        nib.save(nib.Nifti1Image(voxels, np.diag([4.0, 4.0, 4.0, 1.0])), folder / f"{name}.nii.gz")
    write_pet_dicom_series(voxels, np.diag([-4.0, -4.0, 4.0, 1.0]), folder / "ann")
    kept = folder.parent / "clicked.nii.gz"
    kept.write_bytes((folder / "block.nii.gz").read_bytes())
    return kept


def _ask(url: str, study: Path, count: int, seed: int) -> collections.Counter[int]:
    routes = list(_routes(http.get(f"{url}/openapi.json", timeout=HANG_S).json()))
    expected = _click(url, study)
    statuses: collections.Counter[int] = collections.Counter()

    @with_seed(seed)
    @settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False,
    )  # fmt: skip
    @given(st.one_of(st.sampled_from(routes).flatmap(_requests), unlisted_requests(url)))
    def hold(asked: Asked) -> None:
        answer = asked.send(url)
        statuses[answer.status_code] += 1
        # MONAI Label answers 501 for what an app does not offer
        assert answer.status_code < 500 or answer.status_code == 501, f"{answer.status_code}: {answer.text[:300]}"
        if sum(statuses.values()) % CLICK_EVERY == 0:
            assert _click(url, study) == expected, "the click after it is answered otherwise"

    try:
        hold()
    except BaseException as error:
        sys.exit(f"seed {seed}: {type(error).__name__}: {error}\n" + "\n".join(getattr(error, "__notes__", ())))
    if _click(url, study) != expected:
        sys.exit(f"seed {seed}: the last click is answered otherwise")
    return statuses


def _click(url: str, study: Path) -> str:
    """The checksum of the mask of one click on a file that comes with the request."""
    params = json.dumps({"foreground": [[8, 6, 12]], "background": []})
    with study.open("rb") as file:
        answer = http.post(
            f"{url}/infer/{MODEL}",
            params={"output": "image"},
            data={"params": params},
            files={"file": ("clicked.nii.gz", file)},
            timeout=HANG_S,
        )
    answer.raise_for_status()
    return hashlib.sha256(answer.content).hexdigest()


def _routes(openapi: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            if method in METHODS and (method, path) not in LONG:
                yield method, path, operation


def _requests(route: tuple[str, str, Mapping[str, Any]]) -> st.SearchStrategy[Asked]:
    """Requests of a route: as its OpenAPI says, with odd values, parameters left out, doubled and made up."""
    method, path, operation = route
    parameters = operation.get("parameters", [])
    in_path = {one["name"]: _path_part() for one in parameters if one["in"] == "path"}
    known = [one["name"] for one in parameters if one["in"] == "query"] or ["image"]
    query = st.lists(st.tuples(st.sampled_from([*known, "odd"]), odd_value()), max_size=5).map(tuple)
    content = operation.get("requestBody", {}).get("content", {})
    names = ["params", "file", "files", "label", "data", "odd"]
    parts = st.dictionaries(st.sampled_from(names), st.one_of(odd_value(), _params(), _file()), max_size=4)
    json_body = st.one_of(anything().map(lambda value: json.dumps(value).encode()), st.binary(max_size=60))
    bodies = st.one_of(
        st.just((None, "", {})),
        parts.filter(bool).map(lambda fields: (None, "multipart", fields)),
        json_body.map(lambda body: (body, "application/json", {})),
        st.binary(max_size=60).map(lambda body: (body, "application/x-www-form-urlencoded", {})),
        st.binary(max_size=60).map(lambda body: (body, "multipart/form-data; boundary=x", {})),
    )
    if not content and method in ("get", "head"):
        bodies = st.just((None, "", {}))
    return st.builds(
        lambda parts, query, body: Asked(method, _filled(path, parts), query, *body),
        st.fixed_dictionaries(in_path),
        query,
        bodies,
    )


def _filled(path: str, parts: Mapping[str, str]) -> str:
    for name, value in parts.items():
        path = path.replace(f"{{{name}}}", value).replace(f"{{{name}:path}}", value)
    return path


def _path_part() -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from([MODEL, "random", "first", "block", "studies"]), odd_value()).map(
        lambda text: quote(text, safe="")
    )


def _params() -> st.SearchStrategy[str]:
    """Click parameters, nearly right."""
    index = st.one_of(st.integers(-2, 40), st.floats(), st.integers(), anything())
    clicks = st.one_of(st.lists(st.lists(index, min_size=2, max_size=4), max_size=3), anything())
    keys = [
        "foreground",
        "background",
        "label",
        "result_extension",
        "result_dtype",
        "label_info",
        "save_label",
        "label_tag",
    ]
    return st.dictionaries(st.sampled_from(keys), st.one_of(clicks, anything()), max_size=5).map(json.dumps)


def _file() -> st.SearchStrategy[tuple[str, bytes]]:
    names = st.one_of(st.sampled_from(["x.nii.gz", "x.nrrd", "x.dcm", "..", "x"]), odd_value())
    return st.tuples(names.map(lambda name: name or "x"), st.binary(max_size=200))
