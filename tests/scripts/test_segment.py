"""scripts/segment.py on small studies, with an untrained network that answers something."""

import errno
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from seganypet.networks import build_network, save_network
from seganypet.pet import write_pet_dicom_series

SHAPE = (20, 18, 24)


@pytest.fixture(scope="module")
def segment(repo):
    spec = importlib.util.spec_from_file_location("segment_script", repo / "scripts" / "segment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.segment


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    net = build_network("compact")
    nn.init.zeros_(net.decoder.head.bias)  # an untrained network answers "nothing"; this one about half of everything
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save_network(net, path)
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    voxels = np.random.default_rng(0).gamma(2.0, 0.5, SHAPE).astype(np.float32)
    affine = np.diag([-4.0, -4.0, 3.0, 1.0])
    nib.save(nib.Nifti1Image(voxels, affine), folder / "suv.nii.gz")
    write_pet_dicom_series(voxels, affine, folder / "dicom")
    return folder


def test_a_nifti_study(segment, weights, study, tmp_path, capsys):
    segment(
        study=str(study / "suv.nii.gz"),
        clicks=(10, 9, 12),
        negative="[[2,2,2]]",
        label="left kidney",
        output=str(tmp_path),
        weights=str(weights),
        device="cpu",
    )
    folder = tmp_path / "suv"
    assert sorted(path.name for path in folder.iterdir()) == ["answer.json", "left_kidney.nii.gz", "picture.png"]
    mask = nib.load(folder / "left_kidney.nii.gz")
    assert mask.shape == SHAPE
    assert np.allclose(mask.affine, nib.load(study / "suv.nii.gz").affine)
    answer = json.loads((folder / "answer.json").read_text())
    target = answer["targets"]["left kidney"]
    voxels = int(np.asarray(mask.dataobj).sum())
    assert voxels > 0
    assert target["uptake"]["volume_ml"] == pytest.approx(voxels * 0.048)
    assert target["clicks"] == [{"ijk": [10, 9, 12], "positive": True}, {"ijk": [2, 2, 2], "positive": False}]
    assert target["details"]["clicks_decoded"] == 2
    assert answer["units"] == "SUVbw"
    assert answer["weights"]["settings"]["architecture"] == "compact"
    assert "read from DICOM" in answer["dicom_seg_unavailable"]
    assert "left_kidney.nii.gz" in capsys.readouterr().out


def test_a_dicom_study_gets_a_seg_and_an_sr(segment, weights, study, tmp_path):
    segment(study=str(study / "dicom"), clicks="10,9,12", output=str(tmp_path), weights=str(weights), device="cpu")
    folder = tmp_path / "dicom"
    answer = json.loads((folder / "answer.json").read_text())
    assert answer["dicom_seg"] == "segmentation.dcm"
    seg = highdicom.seg.segread(folder / "segmentation.dcm")
    mask = np.asarray(nib.load(folder / "target.nii.gz").dataobj) > 0
    assert seg.segment_numbers == range(1, 2)
    assert int(seg.pixel_array.sum()) == mask.sum()
    assert answer["dicom_sr"] == "measurements.dcm"
    (group,) = highdicom.sr.srread(folder / "measurements.dcm").content.get_volumetric_roi_measurement_groups()
    assert group.referenced_segment.referenced_sop_instance_uid == seg.SOPInstanceUID
    volume_ml = group.get_measurements()[0].value
    assert volume_ml == pytest.approx(answer["targets"]["target"]["uptake"]["volume_ml"])
    assert answer["suv_provenance"]["rule"]


def test_a_dicom_study_without_a_seg_says_why(segment, weights, study, tmp_path, monkeypatch, capsys):
    def refuse(*_, **__):
        raise ValueError("FrameOfReferenceUID (0020,0052) is missing")

    monkeypatch.setattr("seganypet.evaluation.study_answers.write_seg", refuse)
    segment(study=str(study / "dicom"), clicks="10,9,12", output=str(tmp_path), weights=str(weights), device="cpu")
    assert "no DICOM SEG: FrameOfReferenceUID (0020,0052) is missing" in capsys.readouterr().out


def test_without_suv_the_mask_is_given_and_the_number_is_not(segment, weights, study, tmp_path):
    image = str(study / "suv.nii.gz")
    segment(study=image, clicks="10,9,12", output=str(tmp_path), weights=str(weights), units="BQML", device="cpu")
    uptake = json.loads((tmp_path / "suv" / "answer.json").read_text())["targets"]["target"]["uptake"]
    assert uptake["suv_max"] is None
    assert "SUV unavailable" in uptake["suv_unavailable"]
    assert uptake["volume_ml"] > 0


def test_another_series_or_other_units_are_answered_anew(segment, weights, study, tmp_path):
    run = {"study": str(study / "suv.nii.gz"), "clicks": "10,9,12", "weights": str(weights), "device": "cpu"}
    for units, read_as in ((None, "SUVbw"), ("BQML", "BQML"), ("SUVbw", "SUVbw")):
        segment(**run, output=str(tmp_path), units=units)
        answer = json.loads((tmp_path / "suv" / "answer.json").read_text())
        assert (answer["units"], answer["asked"]) == (read_as, {"series_uid": None, "units": units})
    with pytest.raises(SystemExit, match=r"series_uid is for DICOM"):
        segment(**run, output=str(tmp_path), series_uid="1.2.3")


def test_a_study_that_was_written_again_is_answered_anew(segment, weights, study, tmp_path):
    image = tmp_path / "suv.nii.gz"
    before = nib.load(study / "suv.nii.gz")
    peaks = []
    for factor in (1.0, 2.0):
        nib.save(nib.Nifti1Image(before.get_fdata() * factor, before.affine), image)
        segment(study=str(image), clicks="10,9,12", weights=str(weights), device="cpu", output=str(tmp_path / "out"))
        answer = json.loads((tmp_path / "out" / "suv" / "answer.json").read_text())
        peaks.append(next(iter(answer["targets"].values()))["uptake"]["suv_max"])
    assert peaks[1] == pytest.approx(2 * peaks[0], rel=1e-3)


def test_a_list_goes_on_after_a_bad_study_and_names_every_problem(segment, weights, study, tmp_path, monkeypatch):
    rows = [
        {"image": "gone.nii.gz", "clicks": [[1, 1, 1]]},
        {"image": str(study / "suv.nii.gz"), "label_name": "a", "clicks": [[500, 1, 1]]},
        {"image": str(study / "dicom"), "label_name": "liver", "clicks": [{"ijk": [10, 9, 12], "positive": True}]},
        {"image": str(study / "dicom"), "label_name": "spleen", "clicks": [[4, 9, 12], [5, 8, 12]]},
        {"image": 3},
    ]
    path = tmp_path / "list.json"
    path.write_text(json.dumps(rows))
    run = {"studies": str(path), "output": str(tmp_path / "out"), "weights": str(weights), "device": "cpu"}
    with pytest.raises(SystemExit) as stop:
        segment(**run)
    message = str(stop.value)
    assert message.startswith("3 problem(s)")
    assert "gone.nii.gz" in message
    assert "prompt 0, a foreground click [500, 1, 1], lies outside" in message
    assert "'image' must be a path, got 3" in message
    answer = json.loads((tmp_path / "out" / "dicom" / "answer.json").read_text())
    assert list(answer["targets"]) == ["liver", "spleen"]

    path.write_text(json.dumps(rows[2:4]))
    monkeypatch.setitem(segment.__globals__, "read_pet", lambda *_, **__: pytest.fail("answered again"))
    segment(**run)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "either --study with --clicks, or --studies"),
        ({"study": "x"}, "at least one positive click"),
        ({"study": "x", "clicks": "1,2"}, "three voxel indices"),
        ({"study": "x", "clicks": "1,2,3", "weights": "/nowhere/model.pt"}, "no file of weights at /nowhere/model.pt"),
        ({"studies": "nowhere.json"}, "no data list at nowhere.json"),
    ],
)
def test_wrong_arguments_are_named(segment, given, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        segment(**given)


def test_another_target_goes_beside_those_that_are_there(segment, weights, study, tmp_path, monkeypatch):
    run = {"study": str(study / "dicom"), "weights": str(weights), "device": "cpu", "output": str(tmp_path)}
    segment(**run, clicks="10,9,12", label="liver")
    segment(**run, clicks="4,9,12", label="spleen")
    folder = tmp_path / "dicom"
    answer = json.loads((folder / "answer.json").read_text())
    assert list(answer["targets"]) == ["liver", "spleen"]
    assert answer["targets"]["liver"]["clicks"] == [{"ijk": [10, 9, 12], "positive": True}]
    segments = highdicom.seg.segread(folder / "segmentation.dcm").segment_numbers
    assert len(list(segments)) == 2
    before = {file: file.read_bytes() for file in folder.iterdir()}
    for refused in ({"clicks": "99,9,12"}, {"clicks": "5,9,12", "units": "BQML"}):
        with pytest.raises(SystemExit, match=r"lies outside|holds the answer for another"):
            segment(**run, label="third", **refused)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    monkeypatch.chdir(study)
    segment(**{**run, "study": "dicom"}, clicks="4,9,12", label="spleen")
    assert list(json.loads((folder / "answer.json").read_text())["targets"]) == ["liver", "spleen"]
    segment(**run, clicks="5,9,12", label="spleen", overwrite=True)
    assert list(json.loads((folder / "answer.json").read_text())["targets"]) == ["spleen"]


@pytest.mark.parametrize(
    ("at", "stopped_by"),
    [
        ("write_mask_nifti", OSError(errno.ENOSPC, "No space left on device")),
        ("write_seg", OSError("With tag (0008, 1115) got exception: No space left on device")),  # as pydicom says it
        ("study_picture", KeyboardInterrupt()),
    ],
)
def test_a_full_disk_or_ctrl_c_leaves_what_was_there(segment, weights, study, tmp_path, monkeypatch, at, stopped_by):
    def half_written(*given, **_):
        next(one for one in given if isinstance(one, Path)).write_text("half")
        raise stopped_by

    run = {"study": str(study / "dicom"), "weights": str(weights), "device": "cpu", "output": str(tmp_path)}
    segment(**run, clicks="10,9,12", label="liver")
    folder = tmp_path / "dicom"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    monkeypatch.setattr(f"seganypet.evaluation.study_answers.{at}", half_written)
    with pytest.raises((SystemExit, KeyboardInterrupt)) as stop:
        segment(**run, clicks="4,9,12", label="spleen")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    if isinstance(stopped_by, OSError):
        assert f"No space left on device: '{folder}'" in str(stop.value)


def test_targets_of_other_units_are_not_answered_again_among_these(segment, weights, study, tmp_path):
    run = {"study": str(study / "suv.nii.gz"), "weights": str(weights), "device": "cpu", "output": str(tmp_path)}
    segment(**run, clicks="10,9,12", label="liver")
    before = (tmp_path / "suv" / "answer.json").read_bytes()
    with pytest.raises(SystemExit, match="holds the answer for another series, other units or other files"):
        segment(**run, clicks="4,9,12", label="spleen", units="BQML")
    assert (tmp_path / "suv" / "answer.json").read_bytes() == before


def test_the_answer_of_another_study_of_that_name_is_not_overwritten(segment, weights, study, tmp_path):
    for patient in ("a", "b"):
        (tmp_path / patient).mkdir()
        (tmp_path / patient / "suv.nii.gz").write_bytes((study / "suv.nii.gz").read_bytes())
    run = {"weights": str(weights), "device": "cpu", "output": str(tmp_path / "out"), "clicks": "10,9,12"}
    segment(**run, study=str(tmp_path / "a" / "suv.nii.gz"))
    before = (tmp_path / "out" / "suv" / "answer.json").read_bytes()
    with pytest.raises(SystemExit, match=r"holds the answer of .*/a/suv.nii.gz; take another --output, or --overwrite"):
        segment(**run, study=str(tmp_path / "b" / "suv.nii.gz"))
    assert (tmp_path / "out" / "suv" / "answer.json").read_bytes() == before


def test_help(repo):
    answer = subprocess.run(
        [sys.executable, "scripts/segment.py", "--help"], cwd=repo, capture_output=True, text=True, check=True
    )
    assert "--negative" in answer.stdout + answer.stderr
