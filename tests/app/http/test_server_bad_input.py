"""Every mistake gets a JSON answer 4xx that says what was wrong, and nothing outside the studies folder is touched."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
from running_server import MODEL
from small_studies import HOT_CENTRE, save_nifti

GOOD = {"foreground": [HOT_CENTRE], "background": []}

BAD_CLICKS = [
    ({}, "foreground is missing"),
    ({"background": [[1, 1, 1]]}, "select the row"),
    ({"foreground": [[1, 1, 1]], "background": [[1, 1, 1]]}, "'background' row"),
    ({"foreground": [[1, 2]]}, "[1, 2]"),
    ({"foreground": [[1, 2, 3, 4]]}, "[1, 2, 3, 4]"),
    ({"foreground": [1, 2, 3]}, "got 1"),
    ({"foreground": "1,2,3"}, "'1,2,3'"),
    ({"foreground": {"a": 1}}, "list of clicks"),
    ({"foreground": [["1", "2", "3"]]}, "['1', '2', '3']"),
    ({"foreground": [[True, 2, 3]]}, "[True, 2, 3]"),
    ({"foreground": [[None, 2, 3]]}, "[None, 2, 3]"),
    ('{"foreground": [[NaN, 2, 3]]}', "not finite"),
    ('{"foreground": [[1, Infinity, 3]]}', "not finite"),
    ({"foreground": [[24.1, 0, 0]]}, "foreground click [24.1, 0, 0]"),
    ({"foreground": [[0, -1.1, 0]]}, "[24, 20, 30]"),
    ({"foreground": [[0, 0, 0]], "background": [[0, 0, 31]]}, "background click [0, 0, 31]"),
    ({"foreground": [[0, 0, 10**40]]}, "outside the volume"),
    ({"foreground": [[0, 0, 10**400]]}, "not finite"),
    ({"foreground": [[1, 1, 1]] * 2000}, "2000 clicks"),
    ({**GOOD, "result_extension": ".exe"}, "'.exe'"),
    ({**GOOD, "result_extension": "/../x.nrrd"}, "result_extension"),
    ({**GOOD, "result_dtype": "object"}, "'object'"),
    ({**GOOD, "label": 7}, "label"),
    ({**GOOD, "label_info": "liver"}, "label_info"),
    ("{", "not valid JSON"),
    ('{"foreground": [[8, 6, 12]], "label": "\\ud800"}', "half a character"),
    ('{"foreground": [[8, 6, 12]], "client_id": ["x\\udfff"]}', "half a character"),
    ('{"prompts": ' + "[" * 100_000, "nested too deeply"),
    ("[1]", "JSON object"),
]


@pytest.mark.parametrize(("params", "named"), BAD_CLICKS)
def test_bad_params(server, params, named):
    answer = server.click("image=block", params)
    assert answer.status_code == 400, answer.text
    assert named in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "model", "status", "named"),
    [
        ("image=nobody", MODEL, 404, "'nobody'"),
        ("", MODEL, 400, "no image"),
        ("image=", MODEL, 400, "no image"),
        ("image=block", "another", 404, "'another'"),
        ("session_id=nothing", MODEL, 404, "'nothing'"),
        ("session_id=00000000-0000-0000-0000-000000000000", MODEL, 404, "no session"),
        ("session_id=../../studies", MODEL, 404, "no session"),
        ("image=/etc/passwd", MODEL, 404, "'/etc/passwd'"),
        ("image=../studies/block", MODEL, 404, "'../studies/block'"),
        ("image=block.nii.gz", MODEL, 404, "no study"),
        ("image=block&output=dicom_seg", MODEL, 400, "NIfTI"),
        ("image=block&output=nonsense", MODEL, 422, "dicom_seg"),
    ],
)
def test_bad_addresses(server, query, model, status, named):
    answer = server.click(query, GOOD, model=model)
    assert answer.status_code == status, answer.text
    assert named in str(answer.json()["detail"])


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("x.nii.gz", b"not an image", "cannot be read"),
        ("x.nii", b"", "cannot be read"),
        ("x.exe", b"MZ", "'x.exe'"),
        ("../../x", b"MZ", "'x'"),
    ],
)
def test_bad_upload(server, name, content, named):
    answer = server.click("", GOOD, file=(name, io.BytesIO(content)))
    assert answer.status_code == 400, answer.text
    assert named in answer.json()["detail"]


def test_a_session_file_without_a_name_of_its_own(server):
    before = everything_under(server.studies.parent)
    answer = requests.put(f"{server.url}/session/", files={"files": ("..", b"x")}, timeout=60)
    assert answer.status_code == 400
    assert everything_under(server.studies.parent) == before


@pytest.mark.parametrize(
    ("voxels", "named"),
    [
        (np.full((4, 4, 4), np.nan, np.float32), "NaN"),
        (np.ones((4, 4), np.float32), "3-D"),
        (np.ones((4, 4, 4, 2), np.float32), "[4, 4, 4, 2]"),
    ],
)
def test_images_that_are_no_volume(server, voxels, named, tmp_path):
    answer = server.click("", GOOD, file=save_nifti(voxels, tmp_path / "x.nii.gz").open("rb"))
    assert answer.status_code == 400, answer.text
    assert named.strip("[]") in answer.json()["detail"]


def test_an_image_that_would_fill_the_memory(server, tmp_path):
    header = nib.Nifti1Header()
    header.set_data_shape((30000, 30000, 30000))
    file = tmp_path / "huge.nii.gz"
    file.write_bytes(gzip.compress(header.binaryblock + b"\0" * 1000))
    answer = server.click("", GOOD, file=file.open("rb"))
    assert answer.status_code == 400, answer.text
    assert "30000" in answer.json()["detail"]


def everything_under(folder: Path) -> set[str]:
    """All files but the server's log and home; its folder for temporary files included."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in files if "home" not in path.parts and path.name != "server.log"}


@pytest.mark.parametrize("name", ["../x", "../../x", "/tmp/x", "a/../../x", "..", ".hidden", "a\\b", "x" * 300])
def test_uploads_and_labels_stay_in_the_studies_folder(server, name):
    outside = server.studies.parent
    before = everything_under(outside)
    image = (server.studies / "block.nii.gz").read_bytes()
    put = [
        ("datastore/image", {"image": name}, {"file": ("x.nii.gz", image)}),
        ("datastore/", {"image": name}, {"file": ("x.nii.gz", image)}),
        ("datastore/label", {"image": "block", "tag": name}, {"label": ("x.nii.gz", image)}),
    ]
    for path, query, files in put:
        answer = requests.put(f"{server.url}/{path}", params=query, files=files, timeout=60)
        assert answer.status_code == 400, (path, answer.text)
        assert "plain name" in answer.json()["detail"]
    answer = requests.put(
        f"{server.url}/datastore/label", params={"image": name}, files={"label": ("x.nii.gz", image)}, timeout=60
    )
    assert answer.status_code == (400 if any(part in name for part in ("/", "..", "\\")) else 404)
    assert everything_under(outside) == before


@pytest.mark.parametrize(
    ("name", "status"), [("../server.log", 400), ("/etc/passwd", 400), ("..%2fserver.log", 400), ("nobody", 404)]
)
def test_downloads_of_what_is_no_study(server, name, status):
    for path in (f"datastore/image?image={name}", f"datastore/label?label={name}&tag=final"):
        answer = requests.get(f"{server.url}/{path}", timeout=60)
        assert answer.status_code == status
        assert answer.json()["detail"]


def test_another_image_is_not_overwritten(server):
    def upload(content: bytes) -> requests.Response:
        files = {"file": ("x.nii.gz", content)}
        return requests.put(f"{server.url}/datastore/image", params={"image": "block"}, files=files, timeout=60)

    other = upload((server.studies / "becquerel.nii.gz").read_bytes())
    assert other.status_code == 409
    assert "'block'" in other.json()["detail"]
    same = upload((server.studies / "block.nii.gz").read_bytes())
    assert (same.status_code, same.json()) == (200, {"image": "block"})
    broken = upload(b"no image")
    assert broken.status_code == 400
    assert "cannot be read" in broken.json()["detail"]


def test_bad_requests_of_other_routes(server):
    put = requests.put(
        f"{server.url}/datastore/label?image=block",
        data={"params": "{"},
        files={"label": ("x.nii.gz", b"")},
        timeout=60,
    )
    assert put.status_code == 400
    sample = requests.post(f"{server.url}/activelearning/nonsense", json={}, timeout=60)
    assert sample.status_code == 400
    assert "nonsense" in sample.json()["detail"]
    for said in ({"strategy": ["random"]}, {"label_tag": ["final"]}):
        sample = requests.post(f"{server.url}/activelearning/random", json=said, timeout=60)
        assert sample.status_code == 400
        assert "must be a name" in sample.json()["detail"]
    for task in ("train/nonsense", "scoring/nonsense"):
        started = requests.post(f"{server.url}/{task}", json={}, timeout=60)
        assert started.status_code == 400
        assert "'nonsense'" in started.json()["detail"]
    archive = requests.get(f"{server.url}/datastore/dataset", timeout=60)
    assert archive.status_code == 404
    assert requests.delete(f"{server.url}/datastore/image?id=ann_pet", timeout=60).status_code == 400
    assert requests.delete(f"{server.url}/datastore/label?id=block&tag=none", timeout=60).status_code == 404


def test_clients_say_nothing_that_is_the_servers_of_images_and_labels(server):
    """The server would read another folder, or show its start page to nobody any more."""

    def put(path: str, info: object, key: str = "info", **query: str) -> requests.Response:
        return requests.put(f"{server.url}/{path}", params=query, data={key: json.dumps(info)}, timeout=60)

    block = nib.load(server.studies / "block.nii.gz")
    assert server.save("block", (block.get_fdata() > 4).astype(np.uint8), block.affine).ok
    refused = [
        (put("datastore/image/info", {"folder": "/etc"}, image="ann_pet"), "folder"),
        (put("datastore/image/info", {"about": 5}, image="block"), "about"),
        (put("datastore/label/info", {"targets": None}, label="block", tag="final"), "targets"),
        (put("datastore/updatelabelinfo", {"ts": "x"}, "params", label="block", tag="final"), "ts"),
    ]
    for answer, named in refused:
        assert (answer.status_code, named in answer.json()["detail"]) == (400, True), answer.text
    assert put("datastore/label/info", {"quality": "high", "note": "x"}, label="block", tag="final").ok
    assert requests.get(f"{server.url}/", timeout=60).status_code == 200
    requests.delete(f"{server.url}/datastore/label?id=block&tag=final", timeout=60)


def test_what_no_page_can_show_is_not_kept(server):
    block = nib.load(server.studies / "block.nii.gz")
    label = {"label": ("x.nii.gz", block.to_bytes())}
    url = f"{server.url}/datastore"
    deep = "[" * 500 + "]" * 500
    for said in ('{"client_id": "\\ud800"}', '{"a": NaN}', f'{{"a": {deep}}}', '{"a": ' + "[" * 100_000, "[1]"):
        answers = [
            requests.put(f"{url}/label?image=block", data={"params": said}, files=label, timeout=60),
            requests.put(f"{url}/image/info?image=block", data={"info": said}, timeout=60),
            requests.put(f"{url}/image?image=new", data={"params": said}, files={"file": label["label"]}, timeout=60),
        ]
        for answer in answers:
            assert answer.status_code == 400, answer.text
            assert answer.json()["detail"]
    assert requests.head(f"{url}/label?image=block&tag=final", timeout=60).status_code == 404
    for path in ("/", "/datastore/?output=all"):
        assert requests.get(f"{server.url}{path}", timeout=60).status_code == 200


ODD = [
    None,
    True,
    0,
    -1,
    1e308,
    "x",
    "",
    [],
    {},
    [[1, 2]],
    "../x",
    ["a"],
    {"a": 1},
    [[[1, 2, 3]]],
    [None],
    "\0",
    [[1.5, 2.5, 3.5]],
]


def test_no_mixture_of_odd_values_makes_the_server_stumble(server):
    chance = random.Random(1)
    keys = [*GOOD, "label", "result_extension", "result_dtype", "result_compress", "label_info", "save_label"]
    keys += ["label_tag", "client_id", "roi", "model", "image", "session_id"]
    for _ in range(150):
        params = {**GOOD, **{key: chance.choice(ODD) for key in chance.sample(keys, chance.randint(1, 5))}}
        output = chance.choice(["json", "image", "all", "dicom_seg"])
        answer = server.click(f"image={chance.choice(['block', 'ann_pet'])}&output={output}", params)
        assert answer.status_code < 500, (params, output, answer.text)
        assert answer.status_code == 200 or answer.json()["detail"]
