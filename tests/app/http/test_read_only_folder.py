"""A studies folder that nobody may write to: everything reads, saving is refused in words, nothing changes in it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import requests
from running_server import start_server
from small_studies import DICOM_AFFINE, HOT, HOT_CENTRE, SHAPE, hot_block, save_nifti

from seganypet.pet import write_pet_dicom_series

LABEL = {"label_info": [{"name": "spleen", "idx": 1}]}
# a mount of the server's own, since root writes wherever permissions are all that forbids it
READ_ONLY = ("unshare", "--mount", "sh", "-c")
MOUNT = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


@pytest.fixture(scope="module", params=["never served", "with labels"])
def read_only_server(request, tmp_path_factory, everything_weights):
    folder = tmp_path_factory.mktemp("read_only")
    studies = folder / "studies"
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, studies / "ann")
    save_nifti(hot_block(), studies / "block.nii.gz")
    if request.param == "with labels":
        final = studies / "labels" / "final"
        final.mkdir(parents=True)
        nib.save(mask(), final / "ann.nii.gz")
        said = {"name": "spleen", "idx": 1, "tracking_uid": "1.2.3", "clicks": []}
        (final / "ann.json").write_text(json.dumps({**LABEL, "targets": [said]}), encoding="utf-8")
    try:
        subprocess.run([*READ_ONLY, MOUNT, str(studies), "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no read-only mount can be made here: {error}")
    conf = ["--conf", "weights", str(everything_weights), "--conf", "encode_ahead_s", "0"]
    for server in start_server(folder / "server", studies, *conf, under=(*READ_ONLY, MOUNT, str(studies))):
        server.labelled = request.param == "with labels"
        yield server


def mask() -> nib.Nifti1Image:
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[HOT] = 1
    return nib.Nifti1Image(voxels, DICOM_AFFINE.astype(np.float32))


def content_of(folder: Path) -> dict[str, int]:
    return {os.path.relpath(path, folder): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def test_a_read_only_folder_is_read_and_stays_as_it_is(read_only_server):
    server, before = read_only_server, content_of(read_only_server.studies)
    url = server.url
    assert set(server.client.datastore()["objects"]) == {"ann", "block"}
    for study in ("ann", "block"):
        assert server.numbers(f"image={study}", {"foreground": [HOT_CENTRE], "background": []})["suv_max"] > 7
        image = requests.get(f"{url}/datastore/image?image={study}", timeout=60)
        assert image.status_code == 200, image.text
    assert requests.get(url, timeout=60).status_code == 200
    header = pydicom.dcmread(next((server.studies / "ann").glob("*.dcm")))
    study = f"{url}/proxy/dicom/wado/studies/{header.StudyInstanceUID}"
    frames = f"{study}/series/{header.SeriesInstanceUID}/instances/{header.SOPInstanceUID}/frames/1"
    answer = requests.get(frames, timeout=60)
    assert answer.status_code == 200
    assert header.PixelData in answer.content
    series = requests.get(f"{study.replace('wado', 'qido')}/series", timeout=60).json()
    assert [one["00080060"]["Value"] for one in series] == [["PT"], ["SEG"]][: 1 + server.labelled]
    if server.labelled:
        seg = requests.get(f"{study}/series/{series[1]['0020000E']['Value'][0]}", timeout=60)
        assert seg.status_code == 200
        assert b"spleen" in seg.content
    for strategy in ("first", "random", "uncertainty", "diversity"):  # though none can be scored anew
        answer = requests.post(f"{url}/activelearning/{strategy}", json={}, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.json()["id"] in ("ann", "block")
    saved = requests.put(
        f"{url}/datastore/label?image=ann&tag=final",
        data={"params": json.dumps(LABEL)},
        files={"label": ("ann.nii", mask().to_bytes())},
        timeout=60,
    )
    assert saved.status_code == 503, saved.text
    assert "read-only" in saved.json()["detail"]
    assert content_of(server.studies) == before
