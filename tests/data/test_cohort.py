"""Cohorts: reproducible, resumed rather than remade, in a list that training reads."""

import json
import os

import nibabel as nib
import numpy as np
import pytest

from seganypet.data import Entry, find_problems, read_data_list, write_cohort, write_data_list
from seganypet.data.cohort_case import RECORD
from seganypet.data.phantoms import LabelMap
from seganypet.training import phantom_cohort
from seganypet.training.start import _are_made_here

TINY = (12.0, 12.0, 12.0)


def write(folder, count, **options):
    return write_cohort(folder, count, 3, voxel_size_mm=TINY, lesion_count=1, progress=False, workers=1, **options)


def stamps(folder):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.nii.gz")}


def test_the_list_names_files_sections_and_targets(tmp_path):
    path = write(tmp_path, 4, validation=1, test=1)
    entries = read_data_list(path)
    assert [len(entries[section]) for section in ("training", "validation", "test")] == [2, 1, 1]
    assert find_problems(entries.training + entries.validation + entries.test) == []
    names = set(entries.training[0].label_names.values())
    assert {"liver", "lesion_1"} <= names
    assert "fat" not in names
    assert json.loads(path.read_text())["training"][0]["image"] == "phantom_0000/suv.nii.gz"
    assert entries.training[0].quality == "high"


def test_a_second_run_keeps_what_is_there_and_a_longer_one_adds(tmp_path):
    write(tmp_path, 2)
    before = stamps(tmp_path)
    write(tmp_path, 3)
    after = stamps(tmp_path)
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 2


def test_an_interrupted_or_foreign_case_is_made_again(tmp_path):
    write(tmp_path, 2)
    image = tmp_path / "phantom_0000/suv.nii.gz"
    voxels = np.asarray(nib.load(image).dataobj)
    (tmp_path / "phantom_0000" / RECORD).unlink()  # cut off before the record
    image.write_bytes(b"half a file")
    other = tmp_path / "phantom_0001" / RECORD
    record = json.loads(other.read_text())
    record["made_with"]["seed"] = 99
    other.write_text(json.dumps(record))
    before = stamps(tmp_path)
    write(tmp_path, 2)
    np.testing.assert_array_equal(np.asarray(nib.load(image).dataobj), voxels)
    assert all(stamps(tmp_path)[path] != stamp for path, stamp in before.items())
    assert not list(tmp_path.rglob(".*"))  # no draft left


@pytest.mark.slow
def test_processes_write_what_one_process_writes(tmp_path):
    one = write(tmp_path / "one", 5)
    two = write_cohort(tmp_path / "two", 5, 3, voxel_size_mm=TINY, lesion_count=1, progress=False, workers=2)
    for a, b in zip(read_data_list(one).training, read_data_list(two).training, strict=True):
        np.testing.assert_array_equal(np.asarray(nib.load(a.image).dataobj), np.asarray(nib.load(b.image).dataobj))
        np.testing.assert_array_equal(np.asarray(nib.load(a.label).dataobj), np.asarray(nib.load(b.label).dataobj))


@pytest.mark.slow
def test_a_failing_process_is_named_not_waited_for(tmp_path):
    (tmp_path / "phantom_0000").write_text("in the way")
    with pytest.raises(RuntimeError, match="phantom_0000"):
        write_cohort(tmp_path, 6, 3, voxel_size_mm=TINY, progress=False, workers=2)


def test_training_makes_no_phantoms_where_somebodys_own_list_lies(tmp_path):
    own = Entry(tmp_path / "pat1" / "suv.nii.gz", tmp_path / "pat1" / "labels.nii.gz", {1: "lesion"})
    path = write_data_list(tmp_path / "data_list.json", {"training": [own]})
    content = path.read_bytes()
    assert phantom_cohort(tmp_path, 1, validation=0, seed=0) == path
    assert path.read_bytes() == content
    assert not list(tmp_path.glob("phantom_*"))
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    phantom = Entry(tmp_path / "runs/phantom_0000/suv.nii.gz", tmp_path / "runs/phantom_0000/labels.nii.gz", {1: "a"})
    assert _are_made_here(write_data_list(tmp_path / "runs" / "data_list.json", {"training": [phantom]}), 0)


def test_training_makes_no_phantoms_among_somebodys_own_files(tmp_path):
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(ValueError, match=r"holds dataset\.json, imagesTr and no data_list\.json: .*prepare\.py"):
        phantom_cohort(tmp_path, 1, validation=0, seed=0)
    assert not list(tmp_path.glob("phantom_*"))


@pytest.mark.parametrize("other", [{"seed": 3}, {"voxel_size_mm": TINY}])
def test_training_makes_no_phantoms_over_those_of_another_recipe(tmp_path, other):
    made = {"seed": 0, "lesion_count": None, "voxel_size_mm": None, "region_mm": 60.0} | other
    path = write_cohort(tmp_path, 1, progress=False, workers=1, **made)
    before = stamps(tmp_path)
    assert phantom_cohort(tmp_path, 2, validation=1, seed=0) == path
    assert stamps(tmp_path) == before


def test_crops_are_pasted_and_named_as_lesions(tmp_path):
    mask = np.zeros((9, 9, 9), dtype=np.uint8)
    mask[3:6, 3:6, 3:6] = 1
    for name, voxels in (("suv", mask * 5.0 + 0.5), ("gtv", mask)):
        nib.save(nib.Nifti1Image(voxels, np.diag([8, 8, 8, 1.0])), tmp_path / f"{name}.nii.gz")
    crop = Entry(tmp_path / "suv.nii.gz", tmp_path / "gtv.nii.gz", {1: "tumour"})
    path = write_cohort(
        tmp_path / "cohort", 2, 0, lesion_count=0, crops=[crop], crop_share=0.5, progress=False, workers=1
    )
    plain, pasted = read_data_list(path).training
    assert not any(name.startswith("lesion") for name in plain.label_names.values())
    assert pasted.label_names[101] == "lesion_1"
    assert nib.load(pasted.image).header.get_zooms() == pytest.approx((8, 8, 8))  # the crop's
    assert (np.asarray(nib.load(pasted.label).dataobj) == 101).sum() == 27


def test_label_maps_take_their_share(tmp_path):
    labels = np.zeros((60, 40, 60), dtype=np.uint8)
    labels[10:50, 10:30, 10:50] = 1
    nib.save(nib.Nifti1Image(labels, np.diag([5, 5, 5, 1.0])), tmp_path / "map.nii.gz")
    path = write(tmp_path / "cohort", 2, label_maps=[LabelMap(str(tmp_path / "map.nii.gz"), {1: "liver"})])
    made = [json.loads((path.parent / f"phantom_{n:04d}" / RECORD).read_text()) for n in range(2)]
    assert [record["made_with"]["label_map"] is None for record in made] == [True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count 0"),
        ({"count": 2, "validation": 3}, "validation 3"),
        ({"count": 2, "crop_share": 2}, "share"),
    ],
)
def test_refusals(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write_cohort(tmp_path, **options)
    assert os.listdir(tmp_path) == []
