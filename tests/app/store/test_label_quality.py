"""Who may be trusted: what is stored with a label when it is saved, and what prepare.py makes of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
from fastapi import HTTPException
from lib.http.start_page import MaskRow, PageState, StudyCard, page
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import StudyStore
from lib.store.volumes import Volumes
from one_series_archive import OneSeries
from running_server import REPO, Server, start_server
from small_studies import AFFINE, DICOM_AFFINE, HOT_CENTRE, SHAPE, hot_block, save_nifti

from seganypet.data import read_data_list


def box(start: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[start : start + 3, 2:5, 2:5] = 1
    return mask


def label_file(folder: Path, voxels: np.ndarray) -> Path:
    return save_nifti(voxels.astype(np.uint8), folder / "upload.nii.gz", AFFINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "studies").mkdir()
    save_nifti(hot_block(), tmp_path / "studies" / "block.nii.gz")
    return tmp_path / "studies"


def open_store(folder: Path, **options: str) -> StudyStore:
    return StudyStore(str(folder), Volumes(10**9), auto_reload=False, **options)


@pytest.mark.parametrize(
    ("final_quality", "tag", "said", "expected"),
    [
        ("low", "final", None, "low"),
        ("low", "final", "high", "high"),
        ("high", "final", None, "high"),
        ("high", "final", "low", "low"),
        ("high", "original", None, "low"),  # a machine's
        ("high", "draft", None, "low"),
        ("low", "original", "high", "high"),
    ],
)
def test_what_is_said_goes_before_the_servers_setting(folder, final_quality, tag, said, expected):
    store = open_store(folder, final_quality=final_quality)
    file = label_file(folder.parent, box(0) + 2 * box(5))
    store.save_label("block", str(file), tag, {} if said is None else {"quality": said})
    info = store.get_label_info("block", tag)
    assert (info["quality"], [target["quality"] for target in info["targets"]]) == (expected, [expected] * 2)
    beside = json.loads((folder / "labels" / tag / "block.json").read_text())
    assert (beside["quality"], beside["targets"]) == (expected, info["targets"])


def qualities(store: StudyStore) -> dict[str, str]:
    info = store.get_label_info("block", "final")
    return {"": info["quality"]} | {target["name"]: target["quality"] for target in info["targets"]}


def test_each_target_keeps_its_own_and_the_map_has_its_worst(folder):
    store = open_store(folder)
    for name, start, said, expected in (
        ("liver", 0, {"quality": "high"}, {"": "high", "liver": "high"}),
        ("lesion", 5, {}, {"": "low", "liver": "high", "lesion": "low"}),
        ("lesion", 6, {"quality": "high"}, {"": "high", "liver": "high", "lesion": "high"}),
        ("liver", 1, {"quality": "low"}, {"": "low", "liver": "low", "lesion": "high"}),
    ):
        store.save_label("block", str(label_file(folder.parent, box(start))), "final", {"label": name, **said})
        assert qualities(store) == expected


def test_targets_saved_before_anybody_said_a_quality_are_low(folder):
    store = open_store(folder)
    store.save_label("block", str(label_file(folder.parent, box(0))), "final", {"label": "liver"})
    for said in (entry := store._datastore.objects["block"].labels["final"].info), *entry["targets"]:
        del said["quality"]
    store._update_datastore_file()
    store.save_label("block", str(label_file(folder.parent, box(5))), "final", {"label": "lesion", "quality": "high"})
    assert qualities(store) == {"": "low", "liver": "low", "lesion": "high"}


def test_a_map_confirmed_without_its_targets_being_known_confirms_them(folder):
    (folder / "labels" / "final").mkdir(parents=True)
    save_nifti(box(0), folder / "labels" / "final" / "block.nii.gz")  # somebody else's
    store = open_store(folder)
    store.update_label_info("block", "final", {"quality": "high"})
    file = label_file(folder.parent, box(5))
    store.save_label("block", str(file), "final", {"label": "lesion", "quality": "high"})
    assert qualities(store) == {"": "high", "label 1": "high", "lesion": "high"}


def test_a_label_is_confirmed_later_and_stays_so_without_its_index(folder):
    store = open_store(folder)
    for name, start in (("liver", 0), ("lesion", 5)):
        store.save_label("block", str(label_file(folder.parent, box(start))), "final", {"label": name})
    store.update_label_info("block", "final", {"quality": "high", "user": "ann"})
    assert qualities(store) == {"": "high", "liver": "high", "lesion": "high"}
    (folder / "datastore_v2.json").unlink()
    again = open_store(folder)
    assert qualities(again) == {"": "high", "liver": "high", "lesion": "high"}
    assert again.get_label_info("block", "final")["user"] == "ann"


@pytest.mark.parametrize("said", ["excellent", "", "High", 1, ["high"]])
def test_another_quality_is_refused_and_nothing_is_kept(folder, said):
    store = open_store(folder)
    with pytest.raises(HTTPException) as refused:
        store.save_label("block", str(label_file(folder.parent, box(0))), "final", {"quality": said})
    assert refused.value.status_code == 400
    assert repr(said) in refused.value.detail
    assert not list((folder / "labels").rglob("block*"))
    store.save_label("block", str(label_file(folder.parent, box(0))), "final", {})
    with pytest.raises(HTTPException, match="quality must be 'high'"):
        store.update_label_info("block", "final", {"quality": said})


def test_a_label_sent_to_an_archive_keeps_its_quality_here(tmp_path):
    archive = OneSeries(tmp_path / "archive")
    store = ArchiveStore(archive, tmp_path / "cache", Volumes(10**9), final_quality="high")
    file = save_nifti(box(0), tmp_path / "upload.nii.gz", DICOM_AFFINE)
    store.save_label(archive.uid, str(file), "final", {"label": "liver"})
    said = json.loads((store.root / "labels" / "final" / f"{archive.uid}.json").read_text())
    assert (said["quality"], said["seg"]) == ("high", {"series_uid": "1.2.4"})
    assert store.get_label_info(archive.uid, "final")["seg"] == said["seg"]
    store.save_label(archive.uid, str(file), "final", {"label": "liver", "quality": "low"})
    said = json.loads((store.root / "labels" / "final" / f"{archive.uid}.json").read_text())
    assert (said["quality"], said["targets"][0]["quality"]) == ("low", "low")


STUDIES = ("unsaid", "checked", "page", "page_checked", "machine", "mixed")


@pytest.fixture(scope="module")
def reading_room(tmp_path_factory: pytest.TempPathFactory, everything_weights: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("reading_room")
    (folder / "studies").mkdir()
    for study in STUDIES:
        save_nifti(hot_block(), folder / "studies" / f"{study}.nii.gz")
    conf = ["--conf", "weights", str(everything_weights), "--conf", "encode_ahead_s", "0"]
    yield from start_server(folder, folder / "studies", *conf)


def save_over_http(server: Server, folder: Path, study: str, **params: str) -> requests.Response:
    with label_file(folder, box(0 if params.get("label") == "liver" else 8)).open("rb") as file:
        return requests.put(
            f"{server.url}/datastore/label",
            params={"image": study},
            data={"params": json.dumps(params)},
            files={"label": ("label.nii.gz", file)},
            timeout=60,
        )


def save_on_page(server: Server, study: str, *qualities: str) -> requests.Response:
    server.numbers(f"image={study}", {"foreground": [HOT_CENTRE], "label": "liver"})
    page = requests.get(server.url, params={"q": study}, timeout=30).text
    (seen,) = set(re.findall(r'name="label" value="liver"><input type="hidden" name="seen" value="([0-9a-f]+)"', page))
    form = [("study", study), ("label", "liver"), ("seen", seen), ("name", "liver")]
    form += [("quality", one) for one in qualities]
    return requests.post(f"{server.url}/seganypet/final", data=form, timeout=60)


def test_readers_save_and_the_data_list_says_how_far_each_label_can_be_trusted(reading_room, tmp_path):
    server = reading_room
    refused = save_over_http(server, tmp_path, "unsaid", label="liver", quality="excellent")
    assert (refused.status_code, "'excellent'" in refused.json()["detail"]) == (400, True)
    assert save_over_http(server, tmp_path, "unsaid", label="liver").ok
    assert save_over_http(server, tmp_path, "checked", label="liver", quality="high").ok
    assert save_over_http(server, tmp_path, "mixed", label="liver", quality="high").ok
    assert save_over_http(server, tmp_path, "mixed", label="lesion").ok
    refused = save_on_page(server, "page", "excellent")
    assert (refused.status_code, "'excellent'" in refused.json()["detail"]) == (400, True)
    assert save_on_page(server, "page", "low").ok  # what the form sends without the tick
    assert save_on_page(server, "page_checked", "low", "high").ok  # and with it
    machine = {"foreground": [HOT_CENTRE], "label": "liver", "save_label": True, "quality": "high"}
    server.numbers("image=machine", machine)

    for study, ticked in (("page_checked", True), ("unsaid", False)):
        assert ("final, checked" in requests.get(server.url, params={"q": study}, timeout=30).text) is ticked

    command = [sys.executable, REPO / "scripts" / "prepare.py", "monai_label", "--validation_share", "0"]
    command += ["--folder", server.studies, "--output", tmp_path / "cohort"]
    prepared = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    assert prepared.returncode == 0, prepared.stdout + prepared.stderr
    entries = read_data_list(tmp_path / "cohort" / "data_list.json").training
    assert sorted((entry.image.name, *entry.label_names.values(), entry.quality) for entry in entries) == [
        ("checked.nii.gz", "liver", "high"),
        ("machine.nii.gz", "liver", "low"),
        ("mixed.nii.gz", "lesion", "low"),
        ("mixed.nii.gz", "liver", "high"),
        ("page.nii.gz", "liver", "low"),
        ("page_checked.nii.gz", "liver", "high"),
        ("unsaid.nii.gz", "liver", "low"),
    ]
    assert nib.load(entries[0].label).shape == SHAPE


def test_the_tick_is_set_where_readers_are_taken_for_experts():
    card = StudyCard("block", "", "", "", "", "", (MaskRow("liver", "last", {}, 1, "", 0.0),))
    for experts, expected in ((False, 'value="high">'), (True, 'value="high" checked>')):
        html = page(PageState({}, "", (), (card,), 1, "", experts), said="", nonce="n")
        assert 'type="hidden" name="quality" value="low"' in html
        assert expected in html
