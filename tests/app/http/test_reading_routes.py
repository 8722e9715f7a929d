"""What the reading page asks the server, without a browser."""

from __future__ import annotations

import json
import struct

import nibabel as nib
import numpy as np
import pytest
import requests
from sent_masks import bits, unpacked
from small_studies import DICOM_AFFINE, HOT, HOT_CENTRE, SHAPE, hot_block

VOXEL = {"start": [0, 0, 0], "shape": [1, 1, 1], "bits": "gA=="}
BITS = np.zeros(SHAPE, bool)
BITS[HOT] = True


@pytest.fixture
def ask(server):
    def post(part: str, body: dict, study: str = "ann_pet", status: int = 200):
        answer = requests.post(f"{server.url}/read/{study}/{part}", json=body, timeout=60)
        assert answer.status_code == status, answer.text
        return answer.json()

    yield post
    requests.delete(f"{server.url}/datastore/label?id=ann_pet&tag=final", timeout=30)


def about(server, study="ann_pet"):
    return requests.get(f"{server.url}/read/{study}/about", timeout=60).json()


def test_voxels_are_the_studys_in_the_pages_orientation(server):
    for study, flipped in (("ann_pet", [True, True, False]), ("block", [True, False, False])):
        grid = about(server, study)["grid"]
        assert [axis["source"] for axis in grid["axes"]] == [0, 1, 2]
        assert [axis["flipped"] for axis in grid["axes"]] == flipped
        content = requests.get(f"{server.url}/read/{study}/voxels", timeout=60).content
        stored = np.frombuffer(content, "<u2").reshape(grid["shape"], order="F")
        voxels = grid["low"] + grid["step"] * stored
        turned = hot_block()[tuple(slice(None, None, -1 if flip else 1) for flip in flipped)]
        assert np.abs(voxels - turned).max() < 1e-3


def test_projections_hold_the_maximum_of_each_ray(server):
    content = requests.get(f"{server.url}/read/block/projections", timeout=60).content
    angles, rows, columns, scale, low, *_ = struct.unpack("<3I4f", content[:28])
    heights = np.frombuffer(content, "<u2", angles * rows * columns, 28).reshape(angles, rows, columns)
    assert (angles, rows) == (36, SHAPE[2])
    front = low + scale * heights[0]
    assert front.max() == pytest.approx(8, abs=0.01)
    hot = np.argwhere(front > 5)
    # the block is at z 10 to 14 of 30 from the feet, and its i of 6 to 9 of 24 runs to the patient's left
    assert (hot[:, 0].min(), hot[:, 0].max()) == (15, 19)
    middle = (columns - 1) / 2
    assert hot[:, 1].mean() - middle == pytest.approx(7.5 - 11.5, abs=0.6)


def test_a_click_answered_with_bits_is_the_click_answered_with_a_file(server):
    numbers = server.numbers("image=ann_pet", {"foreground": [HOT_CENTRE], "background": [], "result_bits": True})
    mask = unpacked(numbers["mask"])
    assert mask.sum() == numbers["voxels"]
    assert "mask" not in server.numbers("image=ann_pet", {"foreground": [HOT_CENTRE], "background": []})


def test_thresholds(ask):
    for rule in ("t41", "t50", "suv2.5", "suv4"):
        assert np.array_equal(unpacked(ask("threshold", {"ijk": HOT_CENTRE, "rule": rule})), BITS)
    # a click that was rounded over the rim, as /infer takes it
    rim = ask("threshold", {"ijk": [-1, 0, SHAPE[2]], "rule": "suv2.5"})
    assert rim == ask("threshold", {"ijk": [0, 0, SHAPE[2] - 1], "rule": "suv2.5"})
    empty = ask("threshold", {"ijk": [20, 16, 28], "rule": "suv4"})
    assert empty == {"start": [0, 0, 0], "shape": [0, 0, 0], "bits": ""}
    for body, words in (
        ({"ijk": HOT_CENTRE, "rule": "x"}, "rule must be one of"),
        ({"ijk": [99, 0, 0], "rule": "t41"}, "outside"),
        ({"ijk": "x", "rule": "t41"}, "a click needs three voxel indices"),
        ({}, "a click needs three voxel indices"),
    ):
        assert words in ask("threshold", body, status=400)["detail"]
    assert "says nothing here" in ask("threshold", {"ijk": HOT_CENTRE, "rule": "suv4"}, "becquerel", 400)["detail"]


@pytest.mark.parametrize("rule", [[], {}, 5, "t42", None])
def test_a_rule_that_is_none_is_named(ask, rule):
    assert "rule must be one of t41" in ask("threshold", {"rule": rule, "ijk": HOT_CENTRE}, status=400)["detail"]


def test_a_save_names_what_it_replaces(ask, server):
    first = {"name": "lesion 1", "mask": bits(BITS), "reader": "Ann", "prompts": [{"ijk": HOT_CENTRE}]}
    first["colour"] = [0, 158, 115]
    (saved,) = ask("save", first)["saved"]
    assert np.array_equal(unpacked(saved["mask"]), BITS)
    assert (saved["by"], saved["quality"], saved["edited"]) == ("Ann", "low", False)
    assert saved["clicks"] == [{"ijk": HOT_CENTRE, "positive": True}]
    # somebody else saved it meanwhile, and says so
    other = BITS.copy()
    other[6] = False
    told = ask("save", {**first, "mask": bits(other), "reader": "Bob"}, status=409)["detail"]
    assert "saved by Ann" in told
    said = ask("save", {**first, "mask": bits(other), "reader": "Bob", "replaces": saved["digest"]})
    assert np.array_equal(unpacked(said["saved"][0]["mask"]), other)
    # another finding leaves alone what is known of the first
    elsewhere = np.zeros(SHAPE, bool)
    elsewhere[20:22, 15:17, 25:28] = True
    both = ask("save", {"name": "node", "mask": bits(elsewhere), "reader": "Eve"})["saved"]
    assert [(one["name"], one["by"]) for one in both] == [("lesion 1", "Bob"), ("node", "Eve")]
    assert both[0]["clicks"] == [{"ijk": HOT_CENTRE, "positive": True}]
    page = requests.get(server.url, params={"q": "ann_pet"}, timeout=30).text
    rows = [row for row in page.split("<tr>") if 'class="tag saved"' in row]
    for name, by in (("lesion 1", "Bob"), ("node", "Eve")):
        assert [f"<td>{by}</td>" in row for row in rows if f"<td>{name}" in row] == [True]
    assert "saved by Bob" in ask("save", {**first, "replaces": saved["digest"]}, status=409)["detail"]
    # deleted, by who saw it alone, and brought back as it was
    assert "in another form" in ask("remove", {"name": "lesion 1", "replaces": saved["digest"]}, status=409)["detail"]
    left = ask("remove", {"name": "lesion 1", "replaces": both[0]["digest"]})
    assert [one["name"] for one in left["saved"]] == ["node"]
    (removed,) = [one for one in left["removed"] if one["name"] == "lesion 1"]
    assert (removed["by"], removed["at"]) == ("Bob", both[0]["at"])
    back = ask("back", {"name": "lesion 1", "file": removed["file"]})
    assert {one["name"] for one in back["saved"]} == {"lesion 1", "node"}
    assert removed not in back["removed"]
    found = next(one for one in back["saved"] if one["name"] == "lesion 1")
    assert np.array_equal(unpacked(found["mask"]), other)
    assert (found["colour"], found["clicks"]) == ([0, 158, 115], [{"ijk": HOT_CENTRE, "positive": True}])
    assert "there is no deleted" in ask("back", {"name": "lesion 1", "file": "../../x.json"}, status=404)["detail"]


def test_a_save_says_what_it_changed_and_who_changed_what(ask):
    organ = np.zeros(SHAPE, bool)
    organ[4:12, 2:10, 8:17] = True
    said = ask("save", {"name": "liver", "mask": bits(organ), "reader": "Ann"})
    (liver,) = said["saved"]
    assert said["changed"] == [{"name": "liver", "before": "", "after": liver["digest"]}]
    said = ask("save", {"name": "lesion", "mask": bits(BITS), "reader": "Bob"})
    now = {one["name"]: one["digest"] for one in said["saved"]}
    assert said["changed"] == [
        {"name": "liver", "before": liver["digest"], "after": now["liver"]},
        {"name": "lesion", "before": "", "after": now["lesion"]},
    ]
    elsewhere = np.zeros(SHAPE, bool)
    elsewhere[20:22, 15:17, 25:28] = True
    said = ask("save", {"name": "node", "mask": bits(elsewhere), "reader": "Eve"})
    assert [one["name"] for one in said["changed"]] == ["node"]
    # what took voxels of the liver was Bob's lesion, whoever saved last
    smaller = organ.copy()
    smaller[4] = False
    again = {"name": "liver", "mask": bits(smaller), "replaces": liver["digest"]}
    assert "'liver' was saved by Bob" in ask("save", again, status=409)["detail"]
    # as it is asked for it stands there, under the lesion
    said = ask("save", {**again, "mask": bits(organ)})
    assert said["changed"] == [{"name": "liver", "before": "", "after": now["liver"]}]
    told = ask("save", {"name": "lesion", "mask": bits(organ), "replaces": ""}, status=409)["detail"]
    assert "'lesion' was saved by Bob" in told


def test_a_finding_is_renamed_in_one_write(ask, server):
    first = {"name": "node", "mask": bits(BITS), "reader": "Ann"}
    (saved,) = ask("save", first)["saved"]
    smaller = BITS.copy()
    smaller[6] = False
    old = {"name": "node", "digest": saved["digest"]}
    wrong = {**first, "name": "axillary node", "renames": {**old, "digest": "0" * 24}}
    assert "in another form" in ask("save", wrong, status=409)["detail"]
    assert about(server)["saved"] == [saved]
    new = {**first, "name": "axillary node", "mask": bits(smaller), "renames": old}
    said = ask("save", new)
    (renamed,) = said["saved"]
    assert (renamed["name"], renamed["tracking_uid"]) == ("axillary node", saved["tracking_uid"])
    assert np.array_equal(unpacked(renamed["mask"]), smaller)
    own = {"name": "axillary node", "before": saved["digest"], "after": renamed["digest"]}
    assert said["changed"] == [own]
    # its answer was lost, and it is asked again
    assert ask("save", new) == {**said, "changed": [{**own, "before": ""}]}
    # a name that another finding has is not taken from it
    elsewhere = np.zeros(SHAPE, bool)
    elsewhere[20:22, 15:17, 25:28] = True
    (_, other) = ask("save", {"name": "spleen", "mask": bits(elsewhere)})["saved"]
    taken = {**new, "name": "axillary node", "renames": {"name": "spleen", "digest": other["digest"]}}
    assert "in another form" in ask("save", taken, status=409)["detail"]
    gone = {**new, "name": "neck node", "renames": old}
    assert "'node' was deleted by somebody else" in ask("save", gone, status=409)["detail"]
    for renames in ("node", {"name": "node"}, {"name": "node", "digest": 5}, {"name": "neck node", "digest": "0"}):
        assert "renames must be" in ask("save", {**gone, "renames": renames}, status=400)["detail"]


def test_what_stands_there_already_is_saved_and_what_is_gone_is_removed(ask, server):
    organ = np.zeros(SHAPE, bool)
    organ[4:12, 2:10, 8:17] = True
    ask("save", {"name": "liver", "mask": bits(organ)})
    lesion = {"name": "lesion", "mask": bits(BITS), "prompts": [{"ijk": HOT_CENTRE}], "colour": [0, 158, 115]}
    said = ask("save", lesion)
    assert ask("save", lesion) == said  # nothing is written, and what the first changed is told again
    for other in ({"quality": "high"}, {"colour": [230, 159, 0]}, {"prompts": []}, {"mask": bits(organ)}):
        assert "in another form" in ask("save", {**lesion, **other}, status=409)["detail"]
    (before, now) = said["saved"]
    left = ask("remove", {"name": "lesion", "replaces": now["digest"]})
    assert left["saved"] == [before]
    assert ask("remove", {"name": "lesion", "replaces": now["digest"]}) == left
    requests.delete(f"{server.url}/datastore/label?id=ann_pet&tag=final", timeout=30)
    assert ask("remove", {"name": "liver", "replaces": before["digest"]})["saved"] == []


@pytest.mark.parametrize("said", [{"label_info": [{"name": "liver"}]}, {}], ids=["no value", "no name"])
def test_a_label_that_says_little_of_its_targets_is_changed_and_taken_away(ask, server, said):
    name = said["label_info"][0]["name"] if said else "label 1"
    file = {"label": ("x.nii", nib.Nifti1Image(BITS.astype(np.uint8), DICOM_AFFINE).to_bytes())}
    query = {"image": "ann_pet", "tag": "final"}
    address = f"{server.url}/datastore/label"
    assert requests.put(address, params=query, data={"params": json.dumps(said)}, files=file, timeout=60).ok
    (saved,) = about(server)["saved"]
    assert saved["name"] == name
    smaller = BITS.copy()
    smaller[6] = False
    (changed,) = ask("save", {"name": name, "mask": bits(smaller), "replaces": saved["digest"]})["saved"]
    assert changed["name"] == name
    assert np.array_equal(unpacked(changed["mask"]), smaller)
    both = ask("save", {"name": "node", "mask": bits(BITS & ~smaller)})["saved"]
    assert [one["name"] for one in both] == [name, "node"]
    (left,) = ask("remove", {"name": name, "replaces": changed["digest"]})["saved"]
    assert left["name"] == "node"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "a finding needs a name"),
        ({"name": " "}, "a finding needs a name"),
        ({"name": "x" * 65}, "at most 64"),
        ({"name": "a"}, "a finding's mask must be an object"),
        ({"name": "a", "mask": {"start": [0, 0, 0], "shape": [1, 1, 1], "bits": "AA=="}}, "'a' is empty"),
        ({"name": "a", "mask": {"start": [24, 0, 0], "shape": [1, 1, 1], "bits": "gA=="}}, "leaves the volume"),
        ({"name": "a", "mask": {"start": [0, 0, 0], "shape": [9, 1, 1], "bits": "gA=="}}, "2 bytes of bits"),
        ({"name": "a", "mask": VOXEL, "quality": "x"}, "quality"),
        ({"name": "a", "mask": VOXEL, "prompts": 5}, "prompts"),
        ({"name": "a", "mask": VOXEL, "prompts": "/etc/passwd"}, "indices"),
        ({"name": "a", "mask": VOXEL, "prompts": [{"type": {}}]}, "type"),
        ({"name": "a", "mask": VOXEL, "colour": "red"}, "colour"),
        ({"name": "a\nb"}, "one line"),
        ({"name": "a", "reader": {"a": 1}}, "reader must be a name"),
    ],
)
def test_what_cannot_be_saved_is_named(ask, server, body, words):
    assert words in ask("save", body, status=400)["detail"]
    assert about(server)["saved"] == []


def test_text_that_is_none_is_not_kept_and_of_the_weights_only_what_names_them(ask, server):
    for body in ({"name": "x\ud800"}, {"name": "x", "reader": "\udc00"}, {"name": "x\ud800", "replaces": ""}):
        assert "half a character" in ask("save", {**body, "mask": VOXEL}, status=400)["detail"]
    assert "half a character" in ask("remove", {"name": "x\ud800"}, status=400)["detail"]
    said = '{"name": "a", "mask": %s, "weights": {"file": "model.pt", "hash": 5, "a": NaN, "b": {"c": []}}}'
    url = f"{server.url}/read/ann_pet/save"
    headers = {"Content-Type": "application/json"}
    answer = requests.post(url, data=said % json.dumps(VOXEL), headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    assert [one["weights"] for one in about(server)["saved"]] == [{"file": "model.pt"}]
    assert requests.get(f"{server.url}/", timeout=60).status_code == 200


def test_the_page_runs_its_own_scripts_alone_and_is_kept_nowhere(server):
    answer = requests.get(f"{server.url}/read/ann_pet", timeout=30)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert "<script>" not in answer.text
    for part in ("about", "voxels", "projections"):
        assert requests.get(f"{server.url}/read/ann_pet/{part}", timeout=60).headers["cache-control"] == "no-store"
    assert requests.get(f"{server.url}/read-static/page.js", timeout=30).headers["content-type"].startswith("text/java")
    assert requests.get(f"{server.url}/read-static/reading_page.py", timeout=30).status_code == 404
    for path in ("/read/nobody", "/read/nobody/about", "/read/nobody/voxels"):
        assert requests.get(f"{server.url}{path}", timeout=30).status_code == 404
    foreign = {"origin": "https://elsewhere.example"}
    answer = requests.post(f"{server.url}/read/ann_pet/save", json={}, headers=foreign, timeout=30)
    assert answer.status_code == 403
    assert json.loads(requests.get(f"{server.url}/read/ann_pet/progress", timeout=30).text)["encoded"] == 0


def test_a_page_that_shows_an_older_volume_is_refused_and_nothing_is_saved(server):
    said = about(server)
    mask = np.zeros(SHAPE, bool)
    mask[4:6, 4:6, 4:6] = True
    form = {"params": json.dumps({"foreground": [HOT_CENTRE], "background": [], "result_bits": True})}
    asked = {
        "read/ann_pet/threshold": {"json": {"rule": "t41", "ijk": HOT_CENTRE}},
        "read/ann_pet/save": {"json": {"name": "node", "mask": bits(mask)}},
        "read/ann_pet/export/csv": {"json": {"findings": [{"name": "node", "mask": bits(mask)}]}},
        f"infer/{said['model']}?image=ann_pet&output=json": {"data": form},
    }
    for part, body in asked.items():
        answer = requests.post(f"{server.url}/{part}", **body, headers={"x-volume": "another"}, timeout=60)
        assert answer.status_code == 409, part
        assert "load the page again" in answer.json()["detail"]
    for part in ("voxels", "projections"):
        answer = requests.get(f"{server.url}/read/ann_pet/{part}", headers={"x-volume": "another"}, timeout=60)
        assert answer.status_code == 409
    assert about(server)["saved"] == []
    del asked["read/ann_pet/save"]
    for part, body in asked.items():
        answer = requests.post(f"{server.url}/{part}", **body, headers={"x-volume": said["volume"]}, timeout=60)
        assert answer.status_code == 200, answer.text
