"""Random requests to the routes that OpenAPI does not list: the reading page's, nnInteractive's and DICOMweb's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import requests as http
from hypothesis import strategies as st
from reliability.asked import HANG_S, Asked, anything, odd_value

REPO = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO / "bundle"), str(REPO / "apps" / "seganypet_label")]

from lib.store.packed_arrays import pack_array  # noqa: E402

READING = ("threshold", "save", "remove", "back", "export/csv", "export/seg", "export/sr", "export/nifti", "export/x")
SHOWN = ("", "/about", "/voxels", "/projections", "/progress", "/saved")
DRAWING = (
    *("capabilities", "heartbeat", "lease_status", "set_image", "set_target_buffer", "set_do_autozoom"),
    *("reset_interactions", "add_point_interaction", "add_bbox_interaction", "add_scribble_interaction"),
    *("add_lasso_interaction", "add_initial_seg_interaction", "predict", "undo"),
)
OF_A_FINDING = ("ijk", "rule", "name", "mask", "replaces", "prompts", "quality", "colour", "reader", "file", "findings")
OF_A_PROMPT = (
    *("coordinates", "bbox_coords", "include_interaction", "run_prediction", "interaction_bbox", "shape"),
    *("image_properties", "do_autozoom"),
)
SMALL = (6, 5, 4)


def unlisted_requests(url: str) -> st.SearchStrategy[Asked]:
    """Requests, nearly right, of a server at `url`; a drawing session is claimed on it, which some of them name."""
    token = http.post(f"{url}/nninteractive/claim", timeout=HANG_S).json()["lease_token"]
    image = {"X-Lease-Token": token, "X-Meta": json.dumps({"image_properties": {"spacing": [4, 4, 4]}})}
    sent = pack_array(np.ones((1, *SMALL), np.uint8))
    http.post(f"{url}/nninteractive/set_image", data=sent, headers=image, timeout=HANG_S).raise_for_status()
    (found,) = http.get(f"{url}/proxy/dicom/series", timeout=HANG_S).json()
    study, series = found["0020000D"]["Value"][0], found["0020000E"]["Value"][0]
    return st.one_of(_reading(), _drawing(token), _dicomweb(study, series))


def _reading() -> st.SearchStrategy[Asked]:
    study = st.one_of(st.sampled_from(["block", "study", "ann"]), odd_value().map(lambda text: quote(text, safe="")))
    indices = st.lists(st.one_of(st.integers(-2, 30), anything()), min_size=2, max_size=4)
    mask = st.fixed_dictionaries(
        {},
        optional={
            "start": indices,
            "shape": st.one_of(st.just([1, 1, 8]), indices),
            "bits": st.one_of(st.sampled_from(["/w==", "AA==", "/w", "é"]), anything()),
        },
    )
    prompt = st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["click", "box", "scribble", "lasso", "mask", "x"]),
            "ijk": indices,
            "positive": st.one_of(st.booleans(), anything()),
            "ranges": st.lists(indices, max_size=3),
            "start": indices,
            "shape": indices,
            "bits": st.sampled_from(["/w==", "x"]),
        },
    )
    right: dict[str, st.SearchStrategy[Any]] = {
        "ijk": indices,
        "rule": st.sampled_from(["t41", "t50", "suv2.5", "suv4", "x"]),
        "name": st.one_of(st.sampled_from(["lesion 1", "=1+1", " ", "x" * 65]), odd_value()),
        "mask": mask,
        "prompts": st.lists(prompt, max_size=3),
        "findings": st.lists(st.fixed_dictionaries({"name": odd_value(), "mask": mask}), max_size=3),
        "colour": st.lists(st.integers(-1, 256), max_size=4),
    }
    body = st.fixed_dictionaries({}, optional={key: right.get(key, anything()) for key in OF_A_FINDING})
    asked = st.builds(
        lambda study, what, body: Asked("post", f"/read/{study}/{what}", (), body, "application/json"),
        study,
        st.sampled_from(READING),
        st.one_of(body, anything()).map(lambda value: json.dumps(value).encode()),
    )
    shown = st.builds(lambda study, what: Asked("get", f"/read/{study}{what}"), study, st.sampled_from(SHOWN))
    asset = odd_value().map(lambda text: Asked("get", f"/read-static/{quote(text, safe='')}"))
    return st.one_of(asked, shown, asset)


def _drawing(token: str) -> st.SearchStrategy[Asked]:
    number = st.one_of(st.integers(-2, 8), st.floats(), st.booleans())
    right: dict[str, st.SearchStrategy[Any]] = {
        "coordinates": st.lists(number, min_size=2, max_size=4),
        "bbox_coords": st.lists(st.lists(number, min_size=1, max_size=3), min_size=2, max_size=4),
        "interaction_bbox": st.sampled_from([[[0, n] for n in SMALL], [[0, 1]] * 3, [[-1, 5]] * 3, None]),
        "include_interaction": st.booleans(),
        "run_prediction": st.booleans(),
        "shape": st.sampled_from([list(SMALL), [1, 2, 3], []]),
        "image_properties": st.sampled_from([{"spacing": [4, 4, 4]}, {"spacing": [0, 1, 1]}, {}, None, []]),
    }
    said = st.fixed_dictionaries(
        {}, optional={key: st.one_of(right.get(key, anything()), anything()) for key in OF_A_PROMPT}
    )
    arrays = st.sampled_from([SMALL, (1, *SMALL), (2, *SMALL), (1, 1, 1), (0, 3, 3), (4,)]).map(
        lambda shape: pack_array(np.ones(shape, np.uint8))
    )
    cut = st.builds(
        lambda content, at, byte: content[:at] + bytes([byte]) + content[at + 1 :],
        arrays,
        st.integers(0, 80),
        st.integers(0, 255),
    )
    body = st.one_of(said.map(lambda value: json.dumps(value).encode()), arrays, cut, st.binary(max_size=80))
    meta = st.one_of(said, anything()).map(json.dumps).filter(str.isascii)
    return st.builds(
        lambda route, body, lease, meta: Asked(
            "get" if route in ("capabilities", "lease_status") else "post",
            f"/nninteractive/{route}",
            (),
            body,
            "application/octet-stream",
            headers={"X-Lease-Token": lease, "X-Meta": meta},
        ),
        st.sampled_from(DRAWING),
        body,
        st.sampled_from([token, token, token, token, "x"]),
        meta,
    )


def _dicomweb(study: str, series: str) -> st.SearchStrategy[Asked]:
    of_study, of_series = f"studies/{study}", f"studies/{study}/series/{series}"
    place = st.sampled_from(
        [
            *("studies", "series", "instances", of_study, f"{of_study}/series", f"{of_study}/metadata"),
            *(f"{of_series}{what}" for what in ("", "/metadata", "/instances", "/rendered", "/x")),
            *(f"{of_series}/instances/1.2{what}" for what in ("", "/frames/1", "/bulkdata/7FE00010")),
            f"{of_study}/series/{study}/instances",
        ]
    )
    names = ("PatientID", "PatientName", "StudyDate", "ModalitiesInStudy", "00100020", "odd")
    options = ("limit", "offset", "fuzzymatching", "includefield")
    values = st.one_of(st.sampled_from(["*", "PT", "20200101-", "a*?", "all", "-1", "9" * 19]), odd_value())
    return st.builds(
        lambda method, place, query: Asked(method, f"/proxy/dicom/{place}", tuple(query)),
        st.sampled_from(["get", "get", "get", "post"]),
        st.one_of(place, odd_value().map(lambda text: quote(text, safe="/"))),
        st.lists(st.tuples(st.sampled_from((*names, *options)), values), max_size=3),
    )
