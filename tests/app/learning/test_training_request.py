"""What a request to train may say, and which labels there are to train on."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from fastapi import HTTPException
from learning_studies import HELD_OUT, TRAINED_ON, OneSeriesArchive, save_shy_network
from lib.learning import train_task
from lib.learning.train_settings import TrainSettings
from lib.learning.train_task import WEIGHTS_IN_FORCE, UpdateModel, why_not_published
from lib.learning.trained_weights import go_back, publish, trained_file
from lib.learning.training_data import gather, patients_of, too_few, without_experts
from lib.learning.training_run import TrainingFailedError
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import StudyStore
from lib.store.volumes import Volumes
from small_studies import DICOM_AFFINE, HOT, SHAPE, hot_block, save_nifti

from seganypet.data import read_data_list
from seganypet.pet import read_pet, write_pet_dicom_series


def test_defaults_and_everything_said():
    assert TrainSettings.from_request({"model": "seganypet"}) == TrainSettings()
    said = {"max_epochs": 2, "windows": "10", "learning_rate": "3e-4", "val_split": 0, "use_original": "true"}
    expected = TrainSettings(max_epochs=2, windows=10, learning_rate=3e-4, val_split=0.0, use_original=True)
    assert TrainSettings.from_request({**said, "seganypet": said}, ("seganypet",)) == expected


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({"max_epochs": 0}, "max_epochs must be a whole number from 1 to 1000, got 0"),
        ({"max_epochs": 1.5}, "max_epochs must be a whole number"),
        ({"max_epochs": True}, "max_epochs"),
        ({"windows": "many"}, "windows .* got 'many'"),
        ({"learning_rate": "nan"}, "learning_rate"),
        ({"learning_rate": 2}, "learning_rate must be a number from 1e-08 to 1, got 2"),
        ({"val_split": 1}, "val_split"),
        ({"val_split": None}, "val_split"),
        ({"use_original": 1}, "use_original must be true or false, got 1"),
        ({"epochs": 1}, "does not know epochs; it knows max_epochs"),
    ],
)
def test_what_cannot_be_is_refused_by_name(request_, named):
    with pytest.raises(HTTPException, match=named) as refused:
        TrainSettings.from_request(request_)
    assert refused.value.status_code == 400


def test_finetuning_is_the_default_and_another_strategy_is_asked_for_by_name():
    assert TrainSettings().strategy == "finetune"
    assert TrainSettings.from_request({"strategy": "cpcl"}).strategy == "cpcl"
    with pytest.raises(HTTPException, match="strategy must be one of finetune, consistency, cpcl, got 'best'"):
        TrainSettings.from_request({"strategy": "best"})


@pytest.mark.parametrize(
    ("start", "best", "epoch", "held_out", "settings", "refused"),
    [
        (0.80, 0.82, 3, True, {}, ""),
        (0.80, 0.805, 3, True, {"margin": 0.005 - 1e-9}, ""),
        (0.80, 0.804, 3, True, {}, "less than the margin of 0.005"),
        (0.80, 0.80, 0, True, {}, "no better than the weights in force"),
        (0.80, 0.95, 3, False, {}, "no label was held out"),
        (0.80, 0.95, 3, False, {"publish_unproven": True}, ""),
        (0.80, 0.801, 3, False, {"publish_unproven": True}, "margin"),
    ],
)
def test_what_is_published_is_better_by_a_margin_on_labels_held_out(start, best, epoch, held_out, settings, refused):
    each = {"start_of_each": [start - 0.2, start, start + 0.1], "best_of_each": [best - 0.2, best, best + 0.1]}
    found = {"start": start, "best": best, "best_epoch": epoch, **each}
    said = why_not_published(found, TrainSettings(**settings), held_out=held_out)
    assert refused in said
    assert bool(said) == bool(refused)


@pytest.mark.parametrize(
    ("gains", "refused"),
    [
        ((0.10, 0.08, 0.12, 0.11), ""),
        ((0.30, -0.20, 0.35, -0.05), "Dice grew by 0.1000 over 4 target.s. held out, as it does by chance"),
        ((0.10,), "over 1 target"),
    ],
)
def test_a_gain_that_chance_gives_is_not_published(gains, refused):
    best = [0.5 + gain for gain in gains]
    found = {"start": 0.5, "best": sum(best) / len(best), "best_epoch": 2}
    found |= {"start_of_each": [0.5] * len(gains), "best_of_each": best}
    said = why_not_published(found, TrainSettings(), held_out=True)
    assert re.search(refused, said) if refused else not said


def test_published_weights_are_taken_back_one_by_one(tmp_path):
    for n in range(3):
        (tmp_path / "new.pt").write_text(str(n))
        publish(tmp_path / "new.pt", tmp_path)
    file = trained_file(tmp_path)
    assert file.read_text() == "2"
    assert go_back(tmp_path) == file
    assert file.read_text() == "1"
    go_back(tmp_path)
    assert file.read_text() == "0"
    assert go_back(tmp_path) is None  # the server's own
    assert not file.exists()
    with pytest.raises(FileNotFoundError, match="nothing to go back from"):
        go_back(tmp_path)
    taken = sorted(one.read_text() for one in (file.parent / "taken_back").iterdir())
    assert taken == ["0", "1", "2"]


@pytest.mark.parametrize(("studies", "windows"), [(1, 60), (7, 9), (60, 1), (1000, 1)])
def test_an_epoch_is_as_long_however_many_studies_there_are(studies, windows):
    assert TrainSettings().windows_per_study(studies) == windows


def test_too_few_labels():
    settings = TrainSettings()
    assert "save one first" in too_few({}, settings)
    assert "held out" in too_few(dict.fromkeys(HELD_OUT[:1], HELD_OUT[0]), settings)
    assert too_few(dict.fromkeys(HELD_OUT[:1], HELD_OUT[0]), TrainSettings(val_split=0.0)) == ""
    assert too_few(dict.fromkeys(TRAINED_ON[:1], TRAINED_ON[0]), settings) == ""


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    """Studies without labels, one of which is a DICOM series."""
    studies = tmp_path / "studies"
    studies.mkdir()
    for name in (*TRAINED_ON[:2], HELD_OUT[0], HELD_OUT[1]):
        save_nifti(hot_block(), studies / f"{name}.nii.gz")
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, studies / "dicom")
    return StudyStore(str(studies), Volumes(2**30), auto_reload=False)


def save_label(store: StudyStore, study: str, tag: str = "final", voxels: np.ndarray | None = None, **info) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[HOT] = 1
    affine = store.volumes.study(*store.source(study))[0].affine
    file = store.root.parent / "label.nii.gz"
    nib.save(nib.Nifti1Image(mask if voxels is None else voxels, affine), file)
    store.save_label(study, str(file), tag, {"label_info": [{"name": "lesion", "idx": 1}], **info})


def new_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / f"{len(list(tmp_path.glob('runs/*')))}"
    folder.mkdir(parents=True)
    return folder


def test_labels_become_a_data_list(store, tmp_path):
    save_label(store, TRAINED_ON[0], quality="high")
    save_label(store, HELD_OUT[0])
    save_label(store, HELD_OUT[1], "original")
    save_label(store, TRAINED_ON[1], "original")
    data = gather(store, TrainSettings(), new_folder(tmp_path))
    assert [entry.label.name for entry in data.training] == [f"{TRAINED_ON[0]}.nii.gz"]
    assert [entry.label.name for entry in data.validation] == [f"{HELD_OUT[0]}.nii.gz"]
    data = gather(store, TrainSettings(use_original=True), new_folder(tmp_path))
    assert [(entry.label.parent.name, entry.quality) for entry in data.training] == [
        ("final", "high"),
        ("original", "low"),
    ]
    assert [entry.label.parent.name for entry in data.validation] == ["final"]  # a model's own output is no measure
    read = read_data_list(data.write(tmp_path / "run" / "data_list.json"))
    assert read["training"] == list(data.training)


def test_scans_of_one_patient_are_held_out_together(store):
    shutil.copytree(store.root / "dicom", store.root / "again")
    for number, file in enumerate(sorted((store.root / "again").iterdir())):
        dataset = pydicom.dcmread(file)
        dataset.SeriesInstanceUID += ".1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{dataset.SeriesInstanceUID}.{number}"
        dataset.save_as(file)
    store.refresh()
    patients = patients_of(store, ["dicom", "again", TRAINED_ON[0]])
    assert patients["dicom"] == patients["again"] != "dicom"
    assert patients[TRAINED_ON[0]] == TRAINED_ON[0]


def test_a_strategy_that_learns_from_experts_is_refused_without_one(store):
    save_label(store, TRAINED_ON[0])
    settings = TrainSettings(strategy="cpcl")
    assert "no final label is one" in without_experts(store, [TRAINED_ON[0]], settings)
    assert without_experts(store, [TRAINED_ON[0]], TrainSettings()) == ""
    save_label(store, TRAINED_ON[1], quality="high")
    assert without_experts(store, TRAINED_ON[:2], settings) == ""


def test_a_dicom_series_is_trained_on_where_it_lies(store, tmp_path):
    save_label(store, "dicom")
    (entry,) = gather(store, TrainSettings(val_split=0.0), new_folder(tmp_path)).training
    assert entry.image == store.root / "dicom"
    assert entry.quality == "low"


def test_of_a_folder_with_several_series_the_right_one_is_trained_on(tmp_path):
    folder = tmp_path / "studies" / "both"
    folder.mkdir(parents=True)
    for factor in (1, 2):
        write_pet_dicom_series(hot_block() * factor, DICOM_AFFINE, tmp_path / str(factor))
        for file in (tmp_path / str(factor)).iterdir():
            file.rename(folder / f"{factor}_{file.name}")
    store = StudyStore(str(tmp_path / "studies"), Volumes(2**30), auto_reload=False)
    for study in store.list_images():
        save_label(store, study)
    data = gather(store, TrainSettings(val_split=0.0), new_folder(tmp_path))
    peaks = sorted(float(read_pet(entry.image).suv.max()) for entry in data.training)
    assert peaks == pytest.approx([8, 16], rel=0.01)


def test_series_of_an_archive_are_trained_on_and_fetched_where_they_are_not_here(tmp_path):
    archive = OneSeriesArchive(tmp_path / "archive")
    uid = archive.series.uid
    store = ArchiveStore(archive, tmp_path / "cache", Volumes(2**30))
    save_label(store, uid, quality="high")
    shutil.rmtree(store.root / "series" / uid)
    (store.root / "series" / uid).mkdir()
    (entry,) = gather(store, TrainSettings(val_split=0.0), new_folder(tmp_path)).training
    assert entry.image == store.root / "series" / uid
    assert (entry.label, entry.quality) == (tmp_path / "runs" / "0" / "labels" / "final" / f"{uid}.nii.gz", "high")
    assert read_pet(entry.image).suv.max() == pytest.approx(8, rel=0.01)


def test_a_run_sees_the_labels_as_they_were_when_it_began(store, tmp_path):
    save_label(store, TRAINED_ON[0])
    save_label(store, TRAINED_ON[1])
    data = gather(store, TrainSettings(val_split=0.0), new_folder(tmp_path))
    store.remove_label(TRAINED_ON[0], "final")
    everywhere = np.full(SHAPE, 7, np.uint8)
    save_label(store, TRAINED_ON[1], voxels=everywhere, label_info=[{"name": "liver", "idx": 7}])
    for entry in data.training:
        assert entry.label_names == {1: "lesion"}
        labelled = np.asanyarray(nib.load(entry.label).dataobj)
        assert np.array_equal(np.argwhere(labelled == 1), np.argwhere(hot_block() > 1))


def test_what_cannot_be_trained_on_is_left_out_by_name(store, tmp_path):
    save_label(store, TRAINED_ON[0])
    save_label(store, TRAINED_ON[1], voxels=np.zeros(SHAPE, np.uint8))
    data = gather(store, TrainSettings(), new_folder(tmp_path))
    assert [entry.label.name for entry in data.training] == [f"{TRAINED_ON[0]}.nii.gz"]
    assert {problem.study for problem in data.left_out} == {TRAINED_ON[1]}
    store.remove_label(TRAINED_ON[0], "final")
    with pytest.raises(ValueError, match=f"{TRAINED_ON[1]}: .* is empty"):
        gather(store, TrainSettings(), new_folder(tmp_path))


def test_publishing_keeps_what_it_replaces(tmp_path):
    new = tmp_path / "run" / "model.pt"
    new.parent.mkdir()
    for content in (b"first", b"second"):
        new.write_bytes(content)
        publish(new, tmp_path)
    assert trained_file(tmp_path).read_bytes() == b"second"
    assert new.exists()
    kept = list((trained_file(tmp_path).parent / "replaced").iterdir())
    assert [file.read_bytes() for file in kept] == [b"first"]


def test_the_progress_is_told_in_the_words_that_viewers_read(store, monkeypatch):
    from lib.learning import train_task

    task = train_task.UpdateModel(store, Path(), "cpu", ("seganypet",))
    assert task.stats() == {}
    run = task.runs / "20260101-000000"
    run.mkdir(parents=True)
    report = {"epoch": 1, "epochs": 4, "validation": {"start": 0.5, "best": 0.6, "best_epoch": 1}}
    (run / "report.json").write_text(json.dumps(report))
    assert task.stats() == {}  # it was stopped
    monkeypatch.setattr(train_task, "processes", lambda method: {"id": None})
    expected = {"run": run.name, "epoch": 1, "total_epochs": 4, "best_metric": 0.6, "start_metric": 0.5}
    assert task.stats() == expected
    (run / "result.json").write_text(json.dumps({"outcome": "published", "seconds": 3.0}))
    assert task.stats() == {**expected, "total_time": 3.0, "outcome": "published", "seconds": 3.0}


def test_why_a_run_failed_is_told_where_its_progress_was(store, monkeypatch, tmp_path):
    start = save_shy_network(tmp_path / "start.pt")
    save_label(store, TRAINED_ON[0], quality="high")
    save_label(store, HELD_OUT[0], quality="high")

    def run(*_: object) -> dict:
        raise TrainingFailedError(
            "training ended with exit code 1; the end of run.log:\nOSError: No space left on device"
        )

    monkeypatch.setattr(train_task, "run_training", run)
    update = UpdateModel(store, tmp_path / "bundle", "cpu", ("seganypet",))
    with pytest.raises(TrainingFailedError):
        update({"model": "seganypet", WEIGHTS_IN_FORCE: str(start)}, store)
    stats = update.stats()
    assert stats["outcome"] == "failed: OSError: No space left on device"
    assert (stats["epoch"], stats["best_metric"]) == (0, 0)
    assert stats["total_time"] >= 0


@pytest.mark.parametrize(("meanwhile", "outcome"), [(False, "published"), (True, "other weights came into force")])
def test_a_run_publishes_only_over_the_weights_it_began_from(store, monkeypatch, tmp_path, meanwhile, outcome):
    start = save_shy_network(tmp_path / "start.pt")
    save_label(store, TRAINED_ON[0], quality="high")
    save_label(store, HELD_OUT[0], quality="high")

    def run(bundle: Path, folder: Path, overlay: dict, say: object) -> dict:
        shutil.copyfile(overlay["weights"], folder / "model.pt")
        if meanwhile:  # another server on this folder, or a person
            publish(folder / "model.pt", store.root)
        each = {"start_of_each": [0.4, 0.6], "best_of_each": [0.61, 0.79]}
        return {"validation": {"start": 0.5, "best": 0.7, "best_epoch": 1, **each}}

    monkeypatch.setattr(train_task, "run_training", run)
    update = UpdateModel(store, tmp_path / "bundle", "cpu", ("seganypet",))
    result = update({"model": "seganypet", WEIGHTS_IN_FORCE: str(start)}, store)
    assert outcome in result["outcome"]
    assert ("weights" in result) is not meanwhile
