"""Data lists: read, written, and refused with the entry and the problem named."""

import json

import nibabel as nib
import numpy as np
import pytest

from seganypet.data import Entry, find_problems, read_data_list, write_data_list
from seganypet.data.crops import write_crop_list


@pytest.fixture
def pair(tmp_path):
    (tmp_path / "a").mkdir()
    labels = np.zeros((4, 5, 6), dtype=np.int16)
    labels[1:3, 1:3, 1:3] = 5
    nib.save(nib.Nifti1Image(np.full((4, 5, 6), 1.5, np.float32), np.eye(4)), tmp_path / "a/suv.nii.gz")
    nib.save(nib.Nifti1Image(labels, np.eye(4)), tmp_path / "a/labels.nii.gz")
    return tmp_path / "a/suv.nii.gz", tmp_path / "a/labels.nii.gz"


def save(tmp_path, **content):
    path = tmp_path / "list.json"
    path.write_text(json.dumps(content))
    return path


GOOD = {"image": "a/suv.nii.gz", "label": "a/labels.nii.gz", "label_names": {"5": "liver"}, "quality": "low"}


def test_what_is_written_reads_back_also_after_a_move(pair, tmp_path):
    path = write_data_list(tmp_path / "list.json", {"training": [Entry(*pair, {5: "liver"}, "low")]})
    assert json.loads(path.read_text()) == {
        "labels": {"5": "liver"},
        "training": [GOOD],
        "validation": [],
        "test": [],
    }
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "a").rename(moved / "a")
    path.rename(moved / "list.json")
    entry = read_data_list(moved / "list.json").training[0]
    assert entry == Entry(moved / "a/suv.nii.gz", moved / "a/labels.nii.gz", {5: "liver"}, "low")


def test_names_of_the_list_and_low_quality_are_the_defaults(pair, tmp_path):
    path = save(tmp_path, labels={"0": "background", "5": "liver"}, training=[{k: GOOD[k] for k in ("image", "label")}])
    entry = read_data_list(path).training[0]
    assert entry.label_names == {5: "liver"}
    assert entry.quality == "low"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (GOOD | {"image": "a/absent.nii.gz"}, r"training\[1\]: no image at .*absent"),
        (GOOD | {"label": "b/labels.nii.gz"}, r"training\[1\]: no label at"),
        (GOOD | {"quality": "middling"}, r"training\[1\]: quality must be one of high, low, got 'middling'"),
        (GOOD | {"label_names": {"liver": 5}}, "whole numbers from 1, got 'liver'"),
        (GOOD | {"label_names": {"5": ""}}, "name of value 5"),
        (GOOD | {"label_names": {}}, "neither the entry nor the list names"),
        ({"label": "a/labels.nii.gz"}, "'image' must be a path, got None"),
        ("a/suv.nii.gz", "must be an object, got str"),
    ],
)
def test_wrong_entries_are_named_with_their_problem(pair, tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        read_data_list(save(tmp_path, training=[GOOD, row]))


def test_all_problems_are_listed_at_once(pair, tmp_path):
    bad = [GOOD | {"quality": "x"}, GOOD | {"image": "nowhere"}]
    with pytest.raises(ValueError, match=r"2 problem\(s\)(?s:.*)training\[0\](?s:.*)validation\[0\]"):
        read_data_list(save(tmp_path, training=bad[:1], validation=bad[1:]))


def test_no_file_no_json_no_section(tmp_path):
    with pytest.raises(FileNotFoundError, match="no data list at"):
        read_data_list(tmp_path / "absent.json")
    (tmp_path / "list.json").write_text("{")
    with pytest.raises(ValueError, match=r"list\.json is not JSON"):
        read_data_list(tmp_path / "list.json")
    (tmp_path / "list.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"list\.json is not JSON"):
        read_data_list(tmp_path / "list.json")
    with pytest.raises(ValueError, match="one of training"):
        read_data_list(save(tmp_path, labels={}))


def test_an_unknown_section_or_quality_is_not_written(pair, tmp_path):
    with pytest.raises(ValueError, match="not train"):
        write_data_list(tmp_path / "other.json", {"train": []})
    with pytest.raises(ValueError, match="quality"):
        write_data_list(tmp_path / "other.json", {"training": [Entry(*pair, {5: "liver"}, "fine")]})


def test_voxels_are_checked(pair, tmp_path):
    image, label = pair
    assert find_problems([Entry(image, label, {5: "liver"})]) == []
    assert "no voxel of spleen (6)" in find_problems([Entry(image, label, {5: "liver", 6: "spleen"})])[0]
    single = label.with_name("single.nii.gz")
    dots = np.zeros((4, 5, 6), np.uint8)
    dots[0, 0, 0] = dots[2, 2, 2] = 5
    nib.save(nib.Nifti1Image(dots, nib.load(label).affine), single)
    assert "single voxels alone" in find_problems([Entry(image, single, {5: "lesion"})])[0]
    voxels = np.ones((4, 5, 6), dtype=np.float32)
    for made, affine, expected in (
        (np.ones((4, 5, 7), np.float32), np.eye(4), "has shape [4, 5, 6], its study [4, 5, 7]"),
        (voxels, np.diag([1, 1, 2, 1.0]), "lies up to 5.0 mm beside its study"),
        (voxels * np.nan, np.eye(4), "120 of 120 voxels are NaN"),
        (voxels * 20000, np.eye(4), "no SUV"),
        (voxels * 0, np.eye(4), "no voxel above 0"),
    ):
        nib.save(nib.Nifti1Image(made, affine), tmp_path / "bad.nii.gz")
        (problem,) = find_problems([Entry(tmp_path / "bad.nii.gz", label, {5: "liver"})])
        assert problem.startswith(str(tmp_path / "bad.nii.gz"))
        assert expected in problem
    (tmp_path / "bad.nii.gz").write_bytes(b"no NIfTI")
    assert "cannot be read" in find_problems([Entry(tmp_path / "bad.nii.gz", label, {5: "liver"})])[0]


def test_crop_list_keeps_sections_apart(tmp_path):
    for case in ("001", "002", "003"):
        for kind in ("suv", "gtv"):
            (tmp_path / f"STS_{case}_{kind}.nii.gz").touch()
    splits = {"training": ["002"], "validation": ["003"], "test": ["001"]}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    entries = read_data_list(write_crop_list(tmp_path, tmp_path / "lists/crops.json"))
    assert [entry.image.name for entry in entries.training] == ["STS_002_suv.nii.gz"]
    assert [entry.label.name for entry in entries.test] == ["STS_001_gtv.nii.gz"]
    assert entries.validation[0].label_names == {1: "tumour"}
    for broken, error, message in (
        (splits | {"training": ["002", "001"]}, ValueError, "001 .* training and in test"),
        (splits | {"test": []}, ValueError, "no section: 001"),
        (splits | {"training": ["002", "004"]}, FileNotFoundError, "case 004"),
    ):
        (tmp_path / "splits.json").write_text(json.dumps(broken))
        with pytest.raises(error, match=message):
            write_crop_list(tmp_path, tmp_path / "crops.json")
    (tmp_path / "splits.json").write_text("{")
    with pytest.raises(ValueError, match=r"splits\.json is not JSON"):
        write_crop_list(tmp_path, tmp_path / "crops.json")
    (tmp_path / "splits.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no splits\.json"):
        write_crop_list(tmp_path, tmp_path / "crops.json")


def test_the_real_crops_put_sts_001_into_test_alone(shared, tmp_path):
    entries = read_data_list(write_crop_list(shared / "data/sts_crops", tmp_path / "crops.json"))
    assert (len(entries.training), len(entries.validation)) == (20, 10)
    assert [entry.image.name for entry in entries.test] == ["STS_001_suv.nii.gz"]
    assert not any("001" in entry.image.name for entry in entries.training + entries.validation)
