"""DICOMweb over a plain folder: searches, headers, frames of every syntax, labels as SEG, and what is refused."""

from __future__ import annotations

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless
from running_server import Server, start_server
from small_studies import DICOM_AFFINE, HOT, hot_block, save_nifti

from seganypet.pet import SyntheticPatient, SyntheticScan, write_pet_dicom_series


def rewritten(folder: Path, syntax: str) -> None:
    """The same series in another transfer syntax."""
    for file in folder.glob("*.dcm"):
        dataset = pydicom.dcmread(file)
        if syntax == RLELossless:
            dataset.compress(RLELossless)
        elif syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
            dataset.is_little_endian, dataset.is_implicit_VR = False, False
        else:
            dataset.is_implicit_VR = True
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(file, write_like_original=False)


@pytest.fixture(scope="module")
def folder_server(tmp_path_factory, everything_weights):
    folder = tmp_path_factory.mktemp("dicomweb")
    studies = folder / "studies"
    for name, sex, day in (("ann", "F", "20240105"), ("bob", "M", "20240207"), ("eve", "F", "20240309")):
        patient = SyntheticPatient(name=f"{name.title()}^Test", patient_id=f"P-{name}", sex=sex)
        files = write_pet_dicom_series(hot_block(), DICOM_AFFINE, studies / name, patient=patient, scan=SyntheticScan())
        for file in files:
            dataset = pydicom.dcmread(file)
            dataset.StudyDate = day
            dataset.save_as(file)
    rewritten(studies / "bob", ImplicitVRLittleEndian)
    rewritten(studies / "eve", RLELossless)
    (studies / "ann" / "broken.dcm").write_bytes((studies / "ann").glob("*.dcm").__next__().read_bytes()[:900])
    save_nifti(hot_block(), studies / "block.nii.gz")
    conf = ["--conf", "weights", str(everything_weights), "--conf", "encode_ahead_s", "0"]
    yield from start_server(folder, studies, *conf)


def get(server: Server, path: str, status: int = 200, **headers: str) -> requests.Response:
    answer = requests.get(f"{server.url}/proxy/dicom/{path}", headers=headers, timeout=60)
    assert answer.status_code == status, answer.text[:500]
    return answer


def search(server: Server, path: str) -> list[pydicom.Dataset]:
    return [pydicom.Dataset.from_json(one) for one in get(server, f"qido/{path}").json()]


def uids(server: Server, patient: str) -> tuple[str, str]:
    (row,) = search(server, f"series?PatientID={patient}&Modality=PT")
    return row.StudyInstanceUID, row.SeriesInstanceUID


def parts(answer: requests.Response) -> list[bytes]:
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    return [part.get_payload(decode=True) for part in message_from_bytes(head + answer.content).get_payload()]


def test_searches_with_their_filters(folder_server):
    rows = search(folder_server, "studies")
    assert {row.PatientID for row in rows} == {"P-ann", "P-bob", "P-eve"}
    row = next(row for row in rows if row.PatientID == "P-bob")
    assert (row.NumberOfStudyRelatedInstances, row.ModalitiesInStudy) == (30, "PT")
    for query, found in (
        ("PatientID=P-ann", {"ann"}),
        ("PatientName=*test*", {"ann", "bob", "eve"}),
        ("PatientName=b?b*", {"bob"}),
        ("00100020=P-eve", {"eve"}),
        ("StudyDate=20240101-20240210", {"ann", "bob"}),
        ("StudyDate=-20240131", {"ann"}),
        ("StudyDate=20240309", {"eve"}),
        ("ModalitiesInStudy=CT", set()),
        ("ModalitiesInStudy=PT&PatientSex=F", {"ann", "eve"}),
        (f"StudyInstanceUID={uids(folder_server, 'P-ann')[0]},{uids(folder_server, 'P-bob')[0]}", {"ann", "bob"}),
        ("includefield=00081030&fuzzymatching=true&PatientID=P-ann", {"ann"}),
    ):
        assert {row.PatientID for row in search(folder_server, f"studies?{query}")} == {f"P-{n}" for n in found}, query
    assert len(search(folder_server, "studies?limit=2")) == 2
    first, rest = search(folder_server, "studies?limit=1"), search(folder_server, "studies?offset=1")
    assert {row.PatientID for row in first + rest} == {"P-ann", "P-bob", "P-eve"}
    assert "no DICOM attribute" in get(folder_server, "qido/studies?Colour=red", 400).json()["detail"]
    for query, said in (
        ("limit=x", "whole number"),
        ("limit=-1", "whole number"),
        ("StudyDate=yesterday", "YYYYMMDD"),
        ("includefield=Colour", "no DICOM attribute"),
    ):
        assert said in get(folder_server, f"qido/studies?{query}", 400).json()["detail"], query
    (row,) = search(folder_server, "studies?PatientID=P-ann&includefield=PatientWeight")
    assert row.PatientWeight == 75
    (row,) = search(folder_server, "studies?PatientID=P-ann")
    assert "PatientWeight" not in row


@pytest.mark.parametrize("patient", ["P-ann", "P-bob", "P-eve"])
def test_frames_and_headers_are_the_series(folder_server, patient):
    study, series = uids(folder_server, patient)
    headers = get(folder_server, f"wado/studies/{study}/series/{series}/metadata").json()
    assert len(headers) == 30
    assert search(folder_server, f"studies/{study}/series/{series}/instances").__len__() == 30
    planes = []
    for row in headers:
        link = row.pop("7FE00010")["BulkDataURI"]
        header = pydicom.Dataset.from_json(row)
        assert link.endswith(f"/instances/{header.SOPInstanceUID}/bulkdata/7FE00010")
        path = f"wado/studies/{study}/series/{series}/instances/{header.SOPInstanceUID}"
        answer = get(folder_server, f"{path}/frames/1")
        assert "1.2.840.10008.1.2.1" in answer.content[:200].decode("latin-1")
        (content,) = parts(answer)
        stored = np.frombuffer(content, "<u2").reshape(header.Rows, header.Columns)
        planes.append((header.ImagePositionPatient[2], stored * header.RescaleSlope + header.RescaleIntercept))
    volume = np.stack([plane for _, plane in sorted(planes, key=lambda one: one[0])], -1).transpose(1, 0, 2)
    hot = volume > volume.max() / 2
    assert np.array_equal(hot, hot_block() > 4)
    assert volume[HOT].mean() / volume[0, 0, 0] == pytest.approx(8, rel=0.01)


def test_bulk_data_are_had_where_the_headers_point(folder_server):
    study, series = uids(folder_server, "P-bob")
    row = get(folder_server, f"wado/studies/{study}/series/{series}/metadata").json()[7]
    answer = requests.get(row["7FE00010"]["BulkDataURI"], timeout=60)
    assert answer.status_code == 200
    (content,) = parts(answer)
    uid = row["00080018"]["Value"][0]
    (file,) = [f for f in (folder_server.studies / "bob").glob("*.dcm") if pydicom.dcmread(f).SOPInstanceUID == uid]
    assert content == pydicom.dcmread(file).PixelData
    missing = row["7FE00010"]["BulkDataURI"].replace("7FE00010", "00100010")
    assert requests.get(missing, timeout=60).status_code == 404


def test_an_independent_client_reads_a_study_in_many_threads(folder_server):
    client = DICOMwebClient(f"{folder_server.url}/proxy/dicom", qido_url_prefix="qido", wado_url_prefix="wado")
    (found,) = client.search_for_studies(search_filters={"PatientID": "P-eve"})
    study = found["0020000D"]["Value"][0]
    (series,) = client.search_for_series(study, search_filters={"Modality": "PT"})
    series_uid = series["0020000E"]["Value"][0]
    headers = client.retrieve_series_metadata(study, series_uid)
    instances = [header["00080018"]["Value"][0] for header in headers]
    with ThreadPoolExecutor(8) as pool:
        frames = list(pool.map(lambda uid: client.retrieve_instance_frames(study, series_uid, uid, [1])[0], instances))
    stored = {pydicom.dcmread(f).SOPInstanceUID: f for f in (folder_server.studies / "eve").glob("*.dcm")}
    for uid, frame in zip(instances, frames, strict=True):
        assert frame == pydicom.dcmread(stored[uid]).pixel_array.tobytes()
    assert client.retrieve_instance(study, series_uid, instances[0]).SOPInstanceUID == instances[0]


def test_whole_instances_and_pictures(folder_server):
    study, series = uids(folder_server, "P-bob")
    (first, *_) = search(folder_server, f"studies/{study}/series/{series}/instances")
    path = f"wado/studies/{study}/series/{series}/instances/{first.SOPInstanceUID}"
    (content,) = parts(get(folder_server, path))
    assert pydicom.dcmread(io.BytesIO(content)).SOPInstanceUID == first.SOPInstanceUID
    assert get(folder_server, path, accept="application/dicom").content == content
    picture = Image.open(io.BytesIO(get(folder_server, f"{path}/rendered", accept="image/png").content))
    assert picture.size == (24, 20)
    assert max(Image.open(io.BytesIO(get(folder_server, f"wado/studies/{study}/thumbnail").content)).size) <= 128


def test_a_saved_label_is_a_seg_of_its_study_and_nothing_is_written_beside_it(folder_server):
    before = set(folder_server.studies.rglob("*.dcm"))
    mask = np.zeros(hot_block().shape, np.uint8)
    mask[HOT] = 1
    image = nib.Nifti1Image(mask, DICOM_AFFINE.astype(np.float32))
    answer = requests.put(
        f"{folder_server.url}/datastore/label?image=bob&tag=final",
        data={"params": json.dumps({"label_info": [{"name": "spleen", "idx": 1}]})},
        files={"label": ("bob.nii", image.to_bytes())},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    study, _ = uids(folder_server, "P-bob")
    (row,) = [one for one in search(folder_server, f"studies/{study}/series") if one.Modality == "SEG"]
    path = f"wado/studies/{study}/series/{row.SeriesInstanceUID}"
    (header,) = get(folder_server, f"{path}/metadata").json()
    uid = pydicom.Dataset.from_json(header).SOPInstanceUID
    (content,) = parts(get(folder_server, f"{path}/instances/{uid}"))
    seg = hd.seg.segread(io.BytesIO(content))
    assert seg.get_segment_description(1).segment_label == "spleen"
    assert np.count_nonzero(seg.pixel_array) == mask.sum()
    assert search(folder_server, f"studies/{study}/series?Modality=SEG")[0].SeriesInstanceUID == row.SeriesInstanceUID
    frames = parts(get(folder_server, f"{path}/instances/{uid}/frames/1,2"))
    assert all(len(frame) == 24 * 20 // 8 for frame in frames)
    assert set(folder_server.studies.rglob("*.dcm")) == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("wado/studies/1.2.3/metadata", 404),
        ("wado/studies/1.2.3/series/4.5/instances/6/frames/1", 404),
        ("qido/studies/..%2f..", 400),
        ("wado/studies/x/metadata", 404),
        ("wado/other", 404),
    ],
)
def test_what_is_not_there_is_said(folder_server, path, status):
    assert isinstance(get(folder_server, path, status).json()["detail"], str)


def test_frames_beyond_the_last_and_storing_are_refused(folder_server):
    study, series = uids(folder_server, "P-bob")
    (first, *_) = search(folder_server, f"studies/{study}/series/{series}/instances")
    path = f"wado/studies/{study}/series/{series}/instances/{first.SOPInstanceUID}"
    assert "are not there" in get(folder_server, f"{path}/frames/2", 404).json()["detail"]
    assert "asked for once" in get(folder_server, f"{path}/frames/1,1", 400).json()["detail"]
    answer = requests.post(f"{folder_server.url}/proxy/dicom/stow/studies", data=b"x", timeout=30)
    assert answer.status_code == 405


def test_the_start_page_opens_dicom_studies_in_ohif(folder_server):
    page = requests.get(f"{folder_server.url}/", timeout=30).text
    links = re.findall(r"/ohif/monai-label\?StudyInstanceUIDs=([\d.]+)", page)
    assert sorted(links) == sorted(uids(folder_server, f"P-{name}")[0] for name in ("ann", "bob", "eve"))
