"""The findings of the reading page as files."""

from __future__ import annotations

import csv
import io
import zipfile

import nibabel as nib
import numpy as np
import pydicom
import pytest
import requests
from sent_masks import bits
from small_studies import AFFINE, HOT, SHAPE, hot_block

BITS = np.zeros(SHAPE, bool)
BITS[HOT] = True


def export(server, kind: str, findings: list[dict], study: str = "ann_pet") -> requests.Response:
    return requests.post(f"{server.url}/read/{study}/export/{kind}", json={"findings": findings}, timeout=60)


def test_a_seg_tracks_a_saved_finding_by_its_uid(server):
    finding = {"name": "lesion", "mask": bits(BITS)}
    requests.post(f"{server.url}/read/ann_pet/save", json=finding, timeout=60).raise_for_status()
    about = requests.get(f"{server.url}/read/ann_pet/about", timeout=60).json()
    content = export(server, "seg", [finding, {"name": "not saved", "mask": bits(~BITS)}]).content
    first, second = pydicom.dcmread(io.BytesIO(content)).SegmentSequence
    assert first.TrackingUID == about["saved"][0]["tracking_uid"] != second.TrackingUID
    requests.delete(f"{server.url}/datastore/label?id=ann_pet&tag=final", timeout=30)


def test_an_sr_comes_with_the_seg_that_it_refers_to(server):
    body = {"findings": [{"name": "lesion", "mask": bits(BITS)}], "reader": "Dr. Reader"}
    answer = requests.post(f"{server.url}/read/ann_pet/export/sr", json=body, timeout=60)
    assert answer.headers["content-disposition"] == 'attachment; filename="ann_pet_sr.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        seg, sr = (pydicom.dcmread(io.BytesIO(archive.read(f"ann_pet_{kind}.dcm"))) for kind in ("seg", "sr"))
    (said,) = sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert said.ReferencedSOPInstanceUID == seg.SOPInstanceUID
    assert "Dr. Reader" in [str(one.PersonName) for one in sr.ContentSequence if one.ValueType == "PNAME"]


@pytest.mark.parametrize(
    ("kind", "times", "study", "status", "words"),
    [
        ("sr", 1, "block", 400, "NIfTI"),
        ("seg", 1, "block", 400, "NIfTI"),
        ("csv", 0, "ann_pet", 400, "a list of objects"),
        ("csv", 2, "ann_pet", 400, "a name of its own"),
        ("csv", 256, "ann_pet", 400, "at most 255 findings"),
        ("exe", 1, "ann_pet", 404, "not as 'exe'"),
    ],
)
def test_exports_refuse_what_they_cannot_hold(server, kind, times, study, status, words):
    answer = export(server, kind, [{"name": "lesion", "mask": bits(BITS)}] * times, study)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_a_table_holds_no_formula(server):
    answer = export(server, "csv", [{"name": "=1+1", "mask": bits(BITS)}])
    assert answer.content.decode("utf-8-sig").splitlines()[1].startswith("'=1+1,5.1")


def test_a_tables_total_counts_a_voxel_of_two_findings_once(server):
    around = np.zeros(SHAPE, bool)
    around[5:10, 4:8, 10:15] = True  # the hot block and 20 voxels of SUV 1 beside it
    findings = [{"name": "liver", "mask": bits(around)}, {"name": "lesion", "mask": bits(BITS)}]
    answer = export(server, "csv", findings)
    *_, lesion, total = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert total[0] == "total of 2, each voxel once"
    assert [float(lesion[1]), float(lesion[5])] == pytest.approx([80 * 0.064, 80 * 0.064 * 8], rel=1e-3)
    assert [float(total[1]), float(total[5])] == pytest.approx([100 * 0.064, 80 * 0.064 * 8 + 20 * 0.064], rel=1e-3)


def test_an_export_is_named_after_its_study_in_any_script(server):
    content = nib.Nifti1Image(hot_block(), AFFINE).to_bytes()
    url = f"{server.url}/datastore/image"
    requests.put(url, params={"image": "患者01"}, files={"file": ("x.nii", content)}, timeout=60).raise_for_status()
    findings = [{"name": "病変", "mask": bits(BITS)}]
    for kind, ending in (("csv", "csv"), ("nifti", "zip")):
        answer = export(server, kind, findings, "患者01")
        assert answer.status_code == 200, answer.text
        said = answer.headers["content-disposition"]
        assert said == f"attachment; filename=\"_01.{ending}\"; filename*=UTF-8''%E6%82%A3%E8%80%8501.{ending}"
    requests.delete(url, params={"id": "患者01"}, timeout=60).raise_for_status()
    plain = export(server, "csv", findings)
    assert plain.headers["content-disposition"] == 'attachment; filename="ann_pet.csv"'
