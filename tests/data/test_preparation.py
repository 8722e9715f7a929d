"""Cohorts as they come, found and checked."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from seganypet.data import read_data_list
from seganypet.data.data_list import Entry
from seganypet.data.preparation import (
    check_studies,
    find_autopet,
    find_monai_label,
    find_nnunet,
    split_studies,
)

SHAPE = (6, 6, 6)


def save(path: Path, voxels: np.ndarray, spacing: float = 4.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.diag([spacing, spacing, spacing, 1.0])), path)
    return path


def uptake(value: float = 2.0) -> np.ndarray:
    return np.full(SHAPE, value, np.float32)


def labels(*values: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    for place, value in enumerate(values):
        mask[place] = value
    return mask


@pytest.fixture
def nnunet(tmp_path) -> Path:
    folder = tmp_path / "Dataset001_PET"
    for case in ("fdg_aa_1", "fdg_aa_2", "fdg_bb_1"):
        save(folder / "imagesTr" / f"{case}_0000.nii.gz", uptake(-1000))
        save(folder / "imagesTr" / f"{case}_0001.nii.gz", uptake())
        save(folder / "labelsTr" / f"{case}.nii.gz", labels(1, 2))
    description = {"channel_names": {"0": "CT", "1": "PET"}, "labels": {"background": 0, "liver": 1, "lesion": 2}}
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def problems_of(found) -> dict[str, str]:
    return {problem.study: problem.text for problem in check_studies(found, progress=False)}


def test_nnunet(nnunet):
    found = find_nnunet(nnunet, patient="fdg_[a-f]+")
    assert problems_of(found) == {}
    assert [study.name for study in found.studies] == ["fdg_aa_1", "fdg_aa_2", "fdg_bb_1"]
    assert [study.group for study in found.studies] == ["fdg_aa", "fdg_aa", "fdg_bb"]
    entry = found.studies[0].entry
    assert entry.image.name == "fdg_aa_1_0001.nii.gz"  # the PET, not the CT
    assert entry.label_names == {1: "liver", 2: "lesion"}


def test_nnunet_version_1(nnunet):
    description = {"modality": {"0": "CT", "1": "PT"}, "labels": {"0": "background", "1": "liver", "2": "lesion"}}
    (nnunet / "dataset.json").write_text(json.dumps(description))
    assert find_nnunet(nnunet).studies[0].entry.label_names == {1: "liver", 2: "lesion"}


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        ({"background": 0, "whole": [1, 2], "core": [2]}, {1: "whole", 2: "core"}),
        ({"background": 0, "whole": [1, 2], "core": 2}, {1: "whole", 2: "core"}),  # as nnU-Net's own example
        ({"background": "0", "liver": "1", "lesion": "2"}, {1: "liver", 2: "lesion"}),
        ({"0": "background", "1": "lesion", "2": "lesion"}, {1: "lesion", 2: "lesion"}),
    ],
)
def test_nnunets_regions_keep_their_smallest_name(nnunet, listed, names):
    (nnunet / "dataset.json").write_text(json.dumps({"channel_names": {"1": "PET"}, "labels": listed}))
    found = find_nnunet(nnunet)
    assert problems_of(found) == {}
    assert found.studies[0].entry.label_names == names


def test_voxels_to_ignore_are_no_background(nnunet):
    description = {"channel_names": {"1": "PET"}, "labels": {"background": 0, "lesion": 1, "ignore": 2}}
    (nnunet / "dataset.json").write_text(json.dumps(description))
    save(nnunet / "labelsTr" / "fdg_bb_1.nii.gz", labels(1))
    problems = problems_of(find_nnunet(nnunet))
    assert problems.keys() == {"fdg_aa_1", "fdg_aa_2"}
    assert problems["fdg_aa_1"].endswith("fdg_aa_1.nii.gz holds voxels to ignore, which would count as background")


def save_splits(folder: Path, *folds) -> Path:
    path = folder.parent / "splits_final.json"
    path.write_text(json.dumps(folds))
    return path


FOLDS = (
    {"train": ["fdg_aa_1", "fdg_aa_2"], "val": ["fdg_bb_1"]},
    {"train": ["fdg_bb_1"], "val": ["fdg_aa_1", "fdg_aa_2"]},
)


@pytest.mark.parametrize(("fold", "validation"), [(None, ["fdg_bb_1"]), (1, ["fdg_aa_1", "fdg_aa_2"])])
def test_nnunets_own_split_is_kept(nnunet, fold, validation):
    save(nnunet / "imagesTs" / "held_0001.nii.gz", uptake())
    save(nnunet / "labelsTs" / "held.nii.gz", labels(1))
    found = find_nnunet(nnunet, patient="^fdg_[a-f]+|held", splits=save_splits(nnunet, *FOLDS), fold=fold)
    assert problems_of(found) == {}
    sections = split_studies(found.studies, validation_share=0.0)
    assert [entry.label.name for entry in sections["validation"]] == [f"{case}.nii.gz" for case in validation]
    assert len(sections["training"]) == 3 - len(validation)
    assert [entry.label.name for entry in sections["test"]] == ["held.nii.gz"]


def test_a_split_and_a_folder_that_differ_are_problems(nnunet):
    save(nnunet / "imagesTr" / "no_label_0001.nii.gz", uptake())  # in the folder, if not whole
    save(nnunet / "imagesTs" / "held_0001.nii.gz", uptake())
    save(nnunet / "labelsTs" / "held.nii.gz", labels(1))
    fold = {"train": ["fdg_aa_1", "gone", "no_label", "held"], "val": ["fdg_aa_1", "fdg_bb_1", "away"]}
    found = find_nnunet(nnunet, splits=save_splits(nnunet, fold), fold=0)
    problems = problems_of(found)
    assert "in train and in val of fold 0 of" in problems["fdg_aa_1"]
    assert "neither in train nor in val of fold 0 of" in problems["fdg_aa_2"]
    for case in ("gone", "away", "held"):  # the last one is a test case
        assert problems[case].endswith("splits_final.json, but not in the folder")
    assert "no label" in problems["no_label"]
    assert len(problems) == len(found.problems) == 6


def test_a_patient_on_both_sides_of_a_split_is_a_problem(nnunet):
    fold = {"train": ["fdg_aa_1"], "val": ["fdg_aa_2", "fdg_bb_1"]}
    splits = save_splits(nnunet, fold)
    assert problems_of(find_nnunet(nnunet, splits=splits)) == {}
    problems = problems_of(find_nnunet(nnunet, splits=splits, patient="fdg_[a-f]+"))
    assert list(problems) == ["fdg_aa_2"]
    assert "its patient fdg_aa is in train and in val" in problems["fdg_aa_2"]


@pytest.mark.parametrize(
    ("folds", "fold", "message"),
    [
        (FOLDS, 2, "has folds 0 to 1, not 2"),
        (FOLDS, "all", "has folds 0 to 1, not 'all'"),
        (FOLDS, -1, "not -1"),
        ((), 0, "must be a list of folds"),
        (({"train": ["a"]},), 0, "fold 0 of .* under 'val'"),
        (({"train": [1], "val": []},), 0, "under 'train'"),
        ((["a"],), 0, "under 'train'"),
    ],
)
def test_a_fold_that_cannot_be_is_refused(nnunet, folds, fold, message):
    with pytest.raises(ValueError, match=message):
        find_nnunet(nnunet, splits=save_splits(nnunet, *folds), fold=fold)


def test_a_fold_needs_its_splits(nnunet):
    with pytest.raises(ValueError, match=r"fold 0 of which splits\? .*--splits"):
        find_nnunet(nnunet, fold=0)
    with pytest.raises(FileNotFoundError, match="no splits file at"):
        find_nnunet(nnunet, splits=nnunet / "absent.json")


@pytest.mark.parametrize("channels", [{"0": "CT", "1": "FDG_PET"}, ["CT", "suv"]])
def test_a_channel_by_its_name(nnunet, channels):
    (nnunet / "dataset.json").write_text(json.dumps({"channel_names": channels, "labels": {"a": 1, "b": 2}}))
    assert find_nnunet(nnunet).studies[0].entry.image.name == "fdg_aa_1_0001.nii.gz"


def test_an_unclear_channel_is_asked_for(nnunet):
    (nnunet / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT", "1": "noNorm"}, "labels": {"a": 1}}))
    with pytest.raises(ValueError, match=r"which of the channels .* --channel"):
        find_nnunet(nnunet)
    assert len(find_nnunet(nnunet, channel=1).studies) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patient": "fdg_["}, r"patient must be a regular expression, got 'fdg_\[': unterminated"),
        ({"channel": "PET"}, "channel must be a number, as 1 in case_0001.nii.gz, got 'PET'"),
    ],
)
def test_an_option_that_cannot_be_is_named(nnunet, options, message):
    with pytest.raises(ValueError, match=message):
        find_nnunet(nnunet, **options)


def test_every_problem_is_named(nnunet):
    save(nnunet / "labelsTr" / "empty.nii.gz", labels())
    save(nnunet / "imagesTr" / "empty_0001.nii.gz", uptake())
    save(nnunet / "labelsTr" / "no_image.nii.gz", labels(1))
    save(nnunet / "imagesTr" / "no_label_0001.nii.gz", uptake())
    save(nnunet / "labelsTr" / "elsewhere.nii.gz", labels(1), spacing=3.0)
    save(nnunet / "imagesTr" / "elsewhere_0001.nii.gz", uptake())
    save(nnunet / "labelsTr" / "unnamed.nii.gz", labels(1, 7))
    save(nnunet / "imagesTr" / "unnamed_0001.nii.gz", uptake())
    save(nnunet / "labelsTr" / "becquerel.nii.gz", labels(1))
    save(nnunet / "imagesTr" / "becquerel_0001.nii.gz", uptake(12_000))
    save(nnunet / "labelsTr" / "nan.nii.gz", labels(1))
    save(nnunet / "imagesTr" / "nan_0001.nii.gz", np.where(np.arange(6) == 0, np.nan, uptake()).astype(np.float32))
    (nnunet / "labelsTr" / "broken.nii.gz").write_bytes(b"\x1f\x8b\x08")
    save(nnunet / "imagesTr" / "broken_0001.nii.gz", uptake())
    problems = problems_of(find_nnunet(nnunet))
    assert "no image" in problems["no_image"]
    assert "no label" in problems["no_label"]
    assert "is empty" in problems["empty"]
    assert "lies up to 8.7 mm beside its study" in problems["elsewhere"]
    assert "without a name: 7" in problems["unnamed"]
    assert "no SUV" in problems["becquerel"]
    assert "36 of 216 voxels are NaN" in problems["nan"]
    assert "cannot be read" in problems["broken"]
    assert len(problems) == 8


def test_autopet(tmp_path):
    for study in ("PETCT_aa/2001", "PETCT_aa/2002"):
        save(tmp_path / study / "SUV.nii.gz", uptake())
    save(tmp_path / "PETCT_aa/2001/SEG.nii.gz", labels(1))
    found = find_autopet(tmp_path)
    (study,) = found.studies
    assert (study.name, study.group, study.entry.label_names) == ("PETCT_aa/2001", "PETCT_aa", {1: "lesion"})
    assert list(problems_of(found)) == ["PETCT_aa/2002"]


def test_monai_label_quality_and_names(tmp_path):
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.nii.gz", uptake())
        save(tmp_path / "labels" / "original" / f"{name}.nii.gz", labels(1))
    save(tmp_path / "labels" / "final" / "a.nii.gz", labels(1, 2))
    save(tmp_path / "labels" / "final" / "b.nii.gz", labels(3))
    info = {"quality": "low", "label_info": [{"name": "spleen", "idx": 3}]}
    index = {"objects": {"b": {"labels": {"final": {"info": info}}}}}
    (tmp_path / "datastore_v2.json").write_text(json.dumps(index))
    found = find_monai_label(tmp_path, label_names={1: "liver", 2: "lesion"})
    assert problems_of(found) == {}
    entries = {study.name: study.entry for study in found.studies}
    assert {name: entry.label.parent.name for name, entry in entries.items()} == {
        "a": "final", "b": "final", "c": "original"
    }  # fmt: skip
    assert {name: entry.quality for name, entry in entries.items()} == {"a": "low", "b": "low", "c": "low"}
    assert entries["a"].label_names == {1: "liver", 2: "lesion"}
    assert entries["b"].label_names == {3: "spleen"}  # as stored with it


def test_targets_of_two_qualities_in_one_map_are_two_entries(tmp_path):
    save(tmp_path / "a.nii.gz", uptake())
    label = save(tmp_path / "labels" / "final" / "a.nii.gz", labels(1, 2, 3))
    names = [{"name": name, "idx": value} for value, name in enumerate(("liver", "lesion", "spleen"), start=1)]
    qualities = [{"idx": 1, "quality": "high"}, {"idx": 2, "quality": "low"}, {"idx": 3, "quality": "high"}]
    info = {"quality": "low", "label_info": names, "targets": qualities}
    index = {"objects": {"a": {"labels": {"final": {"info": info}}}}}
    (tmp_path / "datastore_v2.json").write_text(json.dumps(index))
    found = find_monai_label(tmp_path)
    assert problems_of(found) == {}
    image = tmp_path / "a.nii.gz"
    assert [study.entry for study in found.studies] == [
        Entry(image, label, {1: "liver", 3: "spleen"}, "high"),
        Entry(image, label, {2: "lesion"}, "low"),
    ]
    assert {(study.name, study.group) for study in found.studies} == {("a", "a")}
    qualities[1]["quality"] = "middling"
    (tmp_path / "datastore_v2.json").write_text(json.dumps(index))
    assert "quality 'middling', not high or low" in problems_of(find_monai_label(tmp_path))["a"]


def test_a_label_without_an_image_or_a_name_or_in_another_format(tmp_path):
    save(tmp_path / "labels" / "final" / "gone.nii.gz", labels(1))
    save(tmp_path / "a.nii.gz", uptake())
    save(tmp_path / "labels" / "final" / "a.nii.gz", labels(1))
    for name in ("b.nrrd", "c.seg.nrrd"):  # a reader's, so that the machine's below is not taken in its place
        (tmp_path / "labels" / "final" / name).write_bytes(b"NRRD")
    save(tmp_path / "b.nii.gz", uptake())
    save(tmp_path / "labels" / "original" / "b.nii.gz", labels(1))
    problems = problems_of(find_monai_label(tmp_path))
    assert "b.nrrd cannot be read" in problems["b"]
    assert "no image for label" in problems["c"]
    assert "no image" in problems["gone"]
    assert "without a name: 1" in problems["a"]


def prepare(repo: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, repo / "scripts" / "prepare.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_the_script_writes_nothing_where_something_is_wrong_unless_told(repo, nnunet, tmp_path):
    save(nnunet / "labelsTr" / "no_image.nii.gz", labels(1))
    arguments = ("nnunet", "--folder", nnunet, "--output", tmp_path / "out", "--validation_share", "0")
    refused = prepare(repo, *arguments)
    assert refused.returncode == 1
    assert "no_image  no image" in refused.stdout
    assert "1 problem(s), no list written" in refused.stderr
    assert not (tmp_path / "out" / "data_list.json").exists()
    written = prepare(repo, *arguments, "--leave_out_bad")
    assert written.returncode == 0, written.stderr
    assert "training: 3 studies, 0 of low quality: lesion 3, liver 3" in written.stdout
    assert "no study fell to validation, which a run needs: set another --validation_share" in written.stdout
    assert len(read_data_list(tmp_path / "out" / "data_list.json").training) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--quality", "expert"), "--quality must be high or low, got 'expert'"),
        (("--validation_share", "1.5"), "shares"),
    ],
)
def test_the_script_reads_no_cohort_for_an_option_that_cannot_be(repo, nnunet, option, message):
    refused = prepare(repo, "nnunet", "--folder", nnunet, *option)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert "checking" not in refused.stderr
