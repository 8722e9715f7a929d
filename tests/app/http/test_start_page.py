"""The start page: what a person sees at the server's address, and Save as final."""

from __future__ import annotations

import json
import re
from html import unescape

import nibabel as nib
import numpy as np
import pytest
import requests
from lib.http.start_page import MaskRow, PageState, StudyCard, page
from lib.store import last_masks
from lib.store.last_masks import LastMasks
from lib.store.study_description import shown_name
from small_studies import HOT_CENTRE, SHAPE

EVIL = "<script>alert(1)</script>\"&'"
PHANTOM = "Phantom, Pet · PHANTOM"


def seen(html: str, label: str) -> str:
    """Which mask the page's form for a label would save."""
    (token,) = re.findall(rf'name="label" value="{label}"><input type="hidden" name="seen" value="([0-9a-f]+)"', html)
    return token


def test_it_lists_studies_and_the_servers_state(server):
    answer = requests.get(server.url, timeout=30)
    assert answer.status_code == 200
    for expected in ("ann_pet", "block", "becquerel", "Weights", "cpu", "compact", "in a folder"):
        assert expected in answer.text
    assert answer.text.count("/ohif/monai-label?StudyInstanceUIDs=") == 1, "OHIF opens the DICOM study alone"
    assert answer.text.count('href="/read/') == 4
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", answer.text), "nothing is loaded from elsewhere"


def test_a_search_finds_by_every_word(server):
    def titles(query: str) -> list[str]:
        return re.findall(r"<h2>(.*?)</h2>", requests.get(server.url, params={"q": query}, timeout=30).text)

    assert titles("BLOCK") == ["block"]
    assert titles("phantom 20260115") == [PHANTOM]
    assert titles("phantom nowhere") == []
    assert titles("2026-01-15") == [PHANTOM], "as the page shows it"
    (study,) = requests.get(f"{server.url}/proxy/dicom/qido/series", timeout=30).json()
    for tag in ("0020000D", "0020000E"):
        assert titles(study[tag]["Value"][0]) == [PHANTOM]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Müller^Jörg^^Dr", "Müller, Jörg, Dr"),
        ("Yamada^Tarou=山田^太郎", "Yamada, Tarou = 山田, 太郎"),
        ("Yamada^Tarou=^=^", "Yamada, Tarou"),
        (None, ""),
    ],
)
def test_a_name_is_shown_to_people(name, shown):
    assert shown_name(name) == shown


def test_the_last_mask_is_shown_and_saved_as_final_with_who_clicks_and_weights(server):
    click = {"foreground": [HOT_CENTRE], "background": [[1, 2, 3]]}  # as OHIF: no name
    shown = server.numbers("image=becquerel", click)
    listed = requests.get(server.url, params={"q": "becquerel"}, timeout=30).text
    assert "not saved" in listed
    assert "Save as final" in listed
    form = {"study": "becquerel", "label": "target", "seen": seen(listed, "target"), "name": "spleen", "reader": "Ann"}
    answer = requests.post(f"{server.url}/seganypet/final", data=form, timeout=60)
    assert answer.status_code == 200, answer.text
    assert "spleen of becquerel is saved as final" in answer.text
    assert 'value="target"' in listed
    assert 'value="target"' not in requests.get(server.url, params={"q": "becquerel"}, timeout=30).text
    kept = nib.load(server.studies / "labels" / "final" / "becquerel.nii.gz").get_fdata()
    assert kept.sum() * 0.064 == pytest.approx(shown["volume_ml"])
    said = json.loads((server.studies / "labels" / "final" / "becquerel.json").read_text())
    assert (said["client_id"], said["label_info"]) == ("Ann", [{"name": "spleen", "idx": 1}])
    (target,) = said["targets"]
    assert target["clicks"] == [
        {"ijk": HOT_CENTRE, "positive": True},
        {"ijk": [1, 2, 3], "positive": False},
    ]
    assert target["weights"]["hash"] == shown["weights"]["hash"]
    assert target["edited"] is False
    assert target["volume_ml"] == pytest.approx(shown["volume_ml"])
    assert (target["suv_max"], target["suv_unavailable"]) == (None, shown["suv_unavailable"])


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"study": "block", "label": "nothing", "seen": "0", "name": "liver"}, 404),
        ({"study": "nowhere", "label": "target", "seen": "0", "name": "liver"}, 404),
        ({"study": "block", "label": "target", "seen": "0", "name": "  "}, 400),
        ({"study": "block", "label": "target", "name": "liver"}, 422),
        ({"study": "block", "label": "target", "seen": "0"}, 422),
    ],
)
def test_saving_what_is_not_there_is_refused(server, form, status):
    assert requests.post(f"{server.url}/seganypet/final", data=form, timeout=60).status_code == status


def test_a_page_elsewhere_saves_nothing(server):
    form = {"study": "block", "label": "target", "seen": "0", "name": "liver"}
    headers = {"Origin": "https://evil.example"}
    answer = requests.post(f"{server.url}/seganypet/final", data=form, headers=headers, timeout=60)
    assert answer.status_code == 403


def test_monai_labels_own_page_and_routes_are_still_there(server):
    for path in ("api", "docs", "logs/?html=true"):
        shown = requests.get(f"{server.url}/{path}", timeout=30).text
        assert "/datastore/label" in shown or "Uvicorn running" in shown
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", shown), "nothing is loaded from elsewhere"
    assert requests.get(f"{server.url}/info/", timeout=30).json()["name"] == "SegAnyPET"


def test_ohif_is_told_where_its_server_is_and_asks_nobody_else(server):
    answer = requests.get(f"{server.url}/ohif/monai-label?StudyInstanceUIDs=1.2", timeout=30)
    assert answer.cookies["MONAILABEL_SERVER_URL"] == server.url.replace(":", "%3A").replace("/", "%2F") + "%2F"
    assert "font-src 'self'" in answer.headers["content-security-policy"]
    assert len(requests.get(f"{server.url}/proxy/dicom/qido/studies", timeout=30).json()) == 1


def test_everything_is_escaped():
    row = MaskRow(EVIL, "last", {"volume_ml": 1.0, "suv_unavailable": EVIL}, 1, EVIL, 0.0)
    card = StudyCard(EVIL, "1.2", EVIL, EVIL, EVIL, EVIL, (row,))
    html = page(PageState({"a": EVIL}, EVIL, (EVIL,), (card,), 1, EVIL, True), said=EVIL, nonce="n")
    assert "<script>alert" not in html
    assert "\"&'" not in html


def test_a_mask_that_changed_since_it_was_seen_is_not_saved(server):
    def listed() -> str:
        return requests.get(server.url, params={"q": "block"}, timeout=30).text

    def save(token: str) -> requests.Response:
        form = {"study": "block", "label": "node", "seen": token, "name": "node"}
        return requests.post(f"{server.url}/seganypet/final", data=form, timeout=60)

    server.numbers("image=block", {"label": "node", "foreground": [[3, 4, 4]], "background": []})
    before = seen(listed(), "node")
    again = {"label": "node", "foreground": [[3, 4, 4]], "background": [[5, 4, 4]]}  # the voxel clicked away is out
    server.numbers("image=block", again)
    refused = save(before)
    assert refused.status_code == 409
    assert "has changed since the page showed it" in refused.text
    assert not (server.studies / "labels" / "final" / "block.nii.gz").exists()
    assert save(seen(listed(), "node")).status_code == 200


def test_a_target_that_the_page_did_not_list_is_not_replaced(server):
    def listed() -> str:
        return requests.get(server.url, params={"q": "block"}, timeout=30).text

    def save(html: str, reader: str) -> requests.Response:
        (saved,) = {unescape(one) for one in re.findall(r'name="saved" value="(.*?)"', html)}
        form = {"study": "block", "label": reader, "seen": seen(html, reader), "name": "lymph <node>", "reader": reader}
        return requests.post(f"{server.url}/seganypet/final", data={**form, "saved": saved}, timeout=60)

    for reader, voxel in (("Ann", [3, 4, 4]), ("Bob", HOT_CENTRE)):
        server.numbers("image=block", {"label": reader, "foreground": [voxel], "background": []})
    before = listed()
    assert save(before, "Ann").status_code == 200
    refused = save(before, "Bob")
    assert refused.status_code == 409
    assert "'lymph <node>' was saved by Ann" in refused.json()["detail"]
    assert save(listed(), "Bob").status_code == 200
    (entry,) = [
        one
        for one in json.loads((server.studies / "labels" / "final" / "block.json").read_text())["targets"]
        if one["name"] == "lymph <node>"
    ]
    assert entry["by"] == "Bob"


def test_last_masks_come_back_whole_and_an_empty_one_goes():
    masks, mask = LastMasks(), np.zeros(SHAPE, bool)
    mask[3:5, 7, 9:12] = True
    masks.note("a", "liver", mask, {"weights": 1}, ({"ijk": (1, 2, 3)},), reader="", client="")
    (shown,) = masks.of_study("a")
    np.testing.assert_array_equal(shown.mask(), mask)
    assert (shown.corner, shown.extent) == ((3, 7, 9), (2, 1, 3))
    assert masks.seen("a", shown.seen) is shown
    assert masks.seen("b", shown.seen) is None
    assert masks.came_from("a", "liver", mask)["edited"] is False
    assert masks.came_from("a", "liver", np.roll(mask, 1, axis=2))["edited"] is True
    assert masks.came_from("a", "spleen", mask) == {}
    masks.note("a", "liver", mask & False, {}, (), reader="", client="")
    assert masks.of_study("a") == []


def test_each_reader_has_a_last_mask_of_her_own():
    masks = LastMasks()
    ann, bob = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    ann[3:5, 3:5, 3:5] = True
    bob[6:9, 6:9, 6:9] = True
    for reader, mask in (("ann", ann), ("bob", bob)):
        masks.note("a", "liver", mask, {}, ({"ijk": (1, 1, 1), "by": reader},), reader=reader, client="")
    assert [shown.reader for shown in masks.of_study("a")] == ["bob", "ann"]
    hers = masks.seen("a", masks.of_study("a")[1].seen)
    np.testing.assert_array_equal(hers.mask(), ann)
    assert masks.came_from("a", "liver", ann)["clicks"][0]["by"] == "ann"
    masks.note_saved("a", "liver", ann)
    assert [(shown.reader, shown.saved) for shown in masks.of_study("a")] == [("bob", False), ("ann", True)]


def test_last_masks_take_bounded_bytes(monkeypatch):
    monkeypatch.setattr(last_masks, "REMEMBERED_BYTES", 20_000)
    masks, rng = LastMasks(), np.random.default_rng(0)
    for n in range(40):
        masks.note(str(n), "noise", rng.random((32, 32, 32)) > 0.5, {}, (), reader="", client="")  # 4 kB packed
    kept = [n for n in range(40) if masks.of_study(str(n))]
    assert kept == [36, 37, 38, 39]
    filled = np.ones((200, 200, 400), bool)
    masks.note("body", "all", filled, {}, (), reader="", client="")
    assert len(masks.of_study("body")[0].packed) < 20_000
