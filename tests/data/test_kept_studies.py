"""Studies on disk: read once, the same as in memory, made anew when anything they come from changes."""

import dataclasses
import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from seganypet.data import Entry, LoadStudy, WindowDataset, load_studies, write_data_list
from seganypet.data import kept_studies as kept
from seganypet.networks.settings import DEFAULT_SETTINGS, Rung

SETTINGS = DEFAULT_SETTINGS["compact"]
NAMES = {1: "liver", 2: "lesion"}


def save(voxels, path):
    nib.save(nib.Nifti1Image(voxels, np.diag([3.0, 3.0, 3.0, 1.0])), path)
    return path


@pytest.fixture
def entry(tmp_path):
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[2:9, 2:9, 2:9] = 1
    labels[12:15, 12:15, 12:15] = 2
    uptake = np.random.default_rng(0).random(labels.shape, np.float32) + labels
    return Entry(save(uptake, tmp_path / "suv.nii.gz"), save(labels, tmp_path / "labels.nii.gz"), NAMES)


@pytest.fixture
def data_list(entry, tmp_path):
    return write_data_list(tmp_path / "list.json", {"training": [entry]})


@pytest.fixture
def reads(monkeypatch):
    """The images read so far."""
    seen = []

    def counted(self, entry):
        seen.append(entry.image)
        return call(self, entry)

    call = LoadStudy.__call__
    monkeypatch.setattr(LoadStudy, "__call__", counted)
    return seen


def windows(studies):
    return WindowDataset(studies, SETTINGS, rungs=[Rung(3.0, 16, "grid")], seed=3)


def test_windows_are_those_of_studies_in_memory_and_a_second_run_reads_no_image(data_list, tmp_path, monkeypatch):
    expected = windows(load_studies([data_list], "training", SETTINGS))[1]
    load_studies([data_list], "training", SETTINGS, cache_dir=tmp_path / "cache")

    def refuse(*_):
        raise AssertionError("an image was read")

    monkeypatch.setattr("seganypet.data.studies.read_pet", refuse)
    monkeypatch.setattr(nib, "load", refuse)
    again = load_studies([data_list], "training", SETTINGS, cache_dir=tmp_path / "cache")
    got = windows(again)[1]
    assert torch.equal(got["image"], expected["image"])
    assert torch.equal(got["targets"], expected["targets"])
    assert got["name"] == expected["name"]
    study = again[0]
    assert study.high_quality is True
    assert [(target.name, target.lesion, target.voxels, target.box) for target in study.targets] == [
        ("liver", False, 343, (slice(2, 9),) * 3),
        ("lesion", True, 27, (slice(12, 15),) * 3),
    ]


def test_every_image_is_read_once_also_under_many_windows(data_list, tmp_path, reads):
    studies = load_studies([data_list, data_list], "training", SETTINGS, cache_dir=tmp_path / "cache", workers=1)
    data = windows(studies)
    for index in range(len(data)):
        data[index]
    assert len(reads) == 1
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".pt"]


def key_of(entry, settings=SETTINGS, **options):
    return kept.study_key(entry, LoadStudy(settings, **options))


def test_the_key_changes_with_all_that_a_study_is_made_from(entry):
    keys = {
        "as it was": key_of(entry),
        "spacing": key_of(entry, dataclasses.replace(SETTINGS, spacing_mm=2.0)),
        "normalisation": key_of(entry, dataclasses.replace(SETTINGS, normalisation="zscore")),
        "leave_out": key_of(entry, leave_out=["liver"]),
        "leave_out another": key_of(entry, leave_out=["lesion"]),
        "only_lesions": key_of(entry, only_lesions=True),
        "quality": key_of(dataclasses.replace(entry, quality="low")),
        "names": key_of(dataclasses.replace(entry, label_names={1: "liver"})),
        "values": key_of(dataclasses.replace(entry, label_names={2: "liver", 1: "lesion"})),
        "swapped": key_of(dataclasses.replace(entry, image=entry.label, label=entry.image)),
    }
    for file in (entry.image, entry.label):
        state = file.stat()
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
        keys[f"time of {file.name}"] = key_of(entry)
        file.write_bytes(file.read_bytes() + b"\0")
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
        keys[f"bytes of {file.name}"] = key_of(entry)
    entry.image.with_name("suv.json").write_text('{"Units": "g/ml"}')  # its SUV is made with this
    keys["sidecar"] = key_of(entry)
    moved = entry.image.rename(entry.image.with_name("moved.nii.gz"))
    keys["path"] = key_of(dataclasses.replace(entry, image=moved))
    assert len(set(keys.values())) == len(keys)


def test_the_key_stays_while_nothing_changes(entry):
    assert key_of(entry, leave_out=["a", "b", "c"]) == key_of(entry, leave_out={"c", "b", "a"})
    twin = pickle.loads(pickle.dumps(entry))  # the same text in other objects
    assert key_of(twin) == key_of(entry)


def test_the_files_of_a_series_count(entry, tmp_path):
    series = tmp_path / "series"
    (series / "deep").mkdir(parents=True)
    for name in ("1.dcm", "deep/2.dcm"):
        (series / name).write_bytes(b"0")
    keys = [key_of(dataclasses.replace(entry, image=image)) for image in (series, series / "1.dcm")]
    (series / "3.dcm").write_bytes(b"0")
    keys += [key_of(dataclasses.replace(entry, image=image)) for image in (series, series / "1.dcm")]
    (series / "deep" / "2.dcm").write_bytes(b"00")
    keys.append(key_of(dataclasses.replace(entry, image=series)))
    assert len(set(keys)) == 5


def test_a_changed_label_is_read_anew(entry, data_list, tmp_path):
    load_studies([data_list], "training", SETTINGS, cache_dir=tmp_path / "cache")
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[0:2, 0:2, 0:2] = 2
    save(labels, entry.label)
    (target,) = load_studies([data_list], "training", SETTINGS, cache_dir=tmp_path / "cache")[0].targets
    assert (target.name, target.voxels) == ("lesion", 8)


@pytest.mark.parametrize("kept_bytes", [0, 10, 2000, -60, -1])
def test_half_a_file_is_not_read_but_made_anew(data_list, tmp_path, reads, caplog, kept_bytes):
    (tmp_path / "cache").mkdir()
    load_studies([data_list], "training", SETTINGS, cache_dir=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:kept_bytes])
    study = load_studies([data_list], "training", SETTINGS, cache_dir=tmp_path / "cache")[0]
    assert len(study.targets) == 2
    assert len(reads) == 2
    assert file.name in caplog.text
    assert len(file.read_bytes()) == len(whole)


def test_a_write_that_fails_leaves_nothing_to_read(entry, tmp_path, monkeypatch):
    def half(content, file):
        file.write(b"half")
        raise RuntimeError("the disk is full")

    cache = kept.StudyCache([entry], LoadStudy(SETTINGS), tmp_path / "cache")
    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", half)
        with pytest.raises(RuntimeError, match="disk is full"):
            cache[0]
    assert list((tmp_path / "cache").iterdir()) == []
    assert len(cache[0].targets) == 2


def test_nobody_sees_a_file_before_it_is_whole(entry, tmp_path, monkeypatch):
    """While it is written, it has no name that a reader looks for."""
    named = []

    def watched(content, file):
        save_whole(content, file)
        named.extend(path.name for path in Path(file.name).parent.glob("*.pt"))

    save_whole = torch.save
    monkeypatch.setattr(torch, "save", watched)
    cache = kept.StudyCache([entry] * 4, LoadStudy(SETTINGS), tmp_path / "cache")
    cache[0]
    assert named == []
    assert len(list((tmp_path / "cache").iterdir())) == 1
    with ThreadPoolExecutor(4) as threads:
        assert {len(study.targets) for study in threads.map(cache.__getitem__, range(4))} == {2}


def test_a_bad_study_stops_the_run_before_its_first_window(entry, data_list, tmp_path):
    save(np.zeros((4, 4, 4), np.uint8), entry.label)
    with pytest.raises(RuntimeError) as stopped:
        load_studies([data_list], "training", SETTINGS, cache_dir=tmp_path / "cache")
    assert "shape [4, 4, 4]" in str(stopped.value.__cause__)


def test_both_sections_of_train_json_take_the_folder(repo):
    config = json.loads((repo / "bundle" / "configs" / "train.json").read_text())
    assert config["cache_dir"] is None
    assert {config[part]["studies"]["cache_dir"] for part in ("train", "validate")} == {"@cache_dir"}


def test_entries_without_a_target_are_passed_over_and_named(entry, tmp_path, caplog):
    without = dataclasses.replace(entry, label_names={1: "liver"})
    path = write_data_list(tmp_path / "mixed.json", {"training": [without, entry], "validation": [without]})
    (study,) = load_studies([path], "training", SETTINGS, only_lesions=True)
    assert [target.name for target in study.targets] == ["lesion"]
    assert f"1 training entries name no lesion: {entry.label}" in caplog.text
    assert len(load_studies([path], "training", SETTINGS)) == 2
    with pytest.raises(ValueError, match="none of the 1 validation entries names a lesion"):
        load_studies([path], "validation", SETTINGS, only_lesions=True)


def test_one_list_is_a_list_and_an_empty_section_is_told_before_any_image_is_read(data_list, reads):
    assert len(load_studies(str(data_list), "training", SETTINGS)) == 1
    reads.clear()
    with pytest.raises(ValueError, match=f"no validation entries in {data_list}"):
        load_studies(data_list, "training", SETTINGS, needed=["validation"])
    assert reads == []


def test_a_study_without_suv_is_named(tmp_path, caplog):
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[2:9, 2:9, 2:9] = 1
    uptake = 5000 * (1 + np.random.default_rng(0).random(labels.shape, np.float32))
    image = save(uptake, tmp_path / "suv.nii.gz")
    load = LoadStudy(SETTINGS)
    load(Entry(image, save(labels, tmp_path / "labels.nii.gz"), NAMES))
    assert f"{image} has no SUV, and is trained on by an estimate: " in caplog.text
