"""A study, a slice, a label, the weights or the studies folder vanish and come back: an error in words, then on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator

import nibabel as nib
import numpy as np
import pytest
import requests
from running_server import Server, save_everything_network, start_server

from seganypet.pet import write_pet_dicom_series

SHAPE = (40, 40, 40)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("vanishing")
    studies = folder / "studies"
    studies.mkdir()
    for name in ("study", "other"):
        nib.save(nib.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE), studies / f"{name}.nii.gz")
    write_pet_dicom_series(np.ones(SHAPE, np.float32), np.diag([-4.0, -4.0, 4.0, 1.0]), studies / "ann")
    weights = save_everything_network(folder / "everything.pt")
    yield from start_server(
        folder / "server", studies, "--conf", "weights", str(weights), "--conf", "encode_ahead_s", "0"
    )


def click(server: Server, study: str) -> requests.Response:
    return server.click(f"image={study}&output=json", {"foreground": [[8, 6, 12]], "background": []})


def save(server: Server, study: str) -> requests.Response:
    return server.save(study, np.ones(SHAPE, np.uint8), AFFINE)


def saved(server: Server, study: str) -> int:
    params = {"label": study, "tag": "final"}
    return requests.get(f"{server.url}/datastore/label", params=params, timeout=60).status_code


def health(server: Server) -> dict:
    return requests.get(f"{server.url}/health", timeout=60).json()


def listed(server: Server) -> dict:
    return requests.get(f"{server.url}/datastore/?output=all", timeout=60).json().get("objects", {})


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(120):
        if happened():
            return
        time.sleep(0.5)
    raise AssertionError("it did not happen within a minute")


def in_words(answer: requests.Response, *words: str) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    said = answer.json()["detail"]
    assert all(word in said for word in words), said
    assert "Errno" not in said
    assert "/studies/" not in said  # where the server keeps them is nobody's business


def test_a_study_vanishes_and_comes_back(server, tmp_path):
    assert save(server, "study").status_code == 200
    file = server.studies / "study.nii.gz"
    file.rename(tmp_path / "away.nii.gz")
    in_words(click(server, "study"), "study")  # is not there any more, or no study: the list follows within seconds
    in_words(save(server, "study"), "study")
    assert click(server, "other").status_code == 200
    wait_until(lambda: "study" not in listed(server))
    (tmp_path / "away.nii.gz").rename(file)
    wait_until(lambda: "study" in listed(server))
    assert listed(server)["study"]["labels"]["final"]["info"]["label_info"] == [{"name": "liver", "idx": 1}]
    assert saved(server, "study") == 200
    assert click(server, "study").status_code == 200
    assert save(server, "study").status_code == 200


def test_a_slice_vanishes_and_comes_back(server, tmp_path):
    assert click(server, "ann").status_code == 200
    file = sorted((server.studies / "ann").rglob("*.dcm"))[20]
    file.rename(tmp_path / "slice")
    in_words(click(server, "ann"), "missing slices: 1")
    (tmp_path / "slice").rename(file)
    assert click(server, "ann").status_code == 200


def test_a_label_that_somebody_deleted_is_not_there_and_can_be_saved_again(server):
    assert save(server, "other").status_code == 200
    (server.studies / "labels" / "final" / "other.nii.gz").unlink()
    assert saved(server, "other") == 404
    assert click(server, "other").status_code == 200
    assert save(server, "other").status_code == 200
    assert saved(server, "other") == 200


def test_the_weights_vanish_and_those_loaded_go_on(server, tmp_path):
    file = server.studies.parent / "everything.pt"
    file.rename(tmp_path / "away.pt")
    time.sleep(1.2)  # the server looks once a second
    assert click(server, "other").status_code == 200
    assert health(server)["status"] == "degraded"
    assert "weights" in health(server)["reasons"][0]
    (tmp_path / "away.pt").rename(file)
    time.sleep(1.2)
    assert click(server, "other").status_code == 200
    assert health(server) == {"status": "ready", "reasons": []}


@pytest.mark.parametrize("mount_point", [False, True], ids=["gone", "an empty mount point"])
def test_the_studies_folder_vanishes_and_no_label_is_forgotten(server, mount_point):
    assert save(server, "study").status_code == 200
    away = server.studies.with_name("away")
    server.studies.rename(away)
    if mount_point:
        server.studies.mkdir()
    for _ in range(2):
        in_words(click(server, "study"), "study")
        in_words(save(server, "study"), "study")
        requests.post(f"{server.url}/activelearning/first", json={}, timeout=60)
        time.sleep(6)  # so that the list is made anew
    assert health(server)["status"] == "degraded"
    assert "the studies folder is not there" in health(server)["reasons"][0]
    if mount_point:
        assert not list(server.studies.rglob("*.json"))  # no index of nothing, which a mount would hide
        shutil.rmtree(server.studies)
    assert not server.studies.exists()
    away.rename(server.studies)
    requests.post(f"{server.url}/activelearning/first", json={}, timeout=60)
    wait_until(lambda: "study" in listed(server))
    assert click(server, "study").status_code == 200
    assert saved(server, "study") == 200
    assert health(server)["status"] == "ready"
    assert listed(server)["study"]["labels"]["final"]["info"]["label_info"] == [{"name": "liver", "idx": 1}]
