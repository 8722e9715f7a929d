"""Studies are read once, again when they change, and never when they would not fit."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from lib.store import volumes as volumes_module
from lib.store.volumes import MAX_VOXELS, Volumes
from small_studies import AFFINE, DICOM_AFFINE, hot_block, save_nifti

from seganypet.pet import PetVolume, write_pet_dicom_series

READERS = 6


@pytest.fixture
def file(tmp_path) -> Path:
    return save_nifti(hot_block(), tmp_path / "study.nii.gz")


def test_many_who_ask_at_once_have_a_study_read_once(file, monkeypatch):
    asked, reads = threading.Barrier(READERS), []

    def slow(path: Path, series_uid: str | None) -> PetVolume:
        reads.append(path)
        asked_all.wait(5)
        return PetVolume(hot_block(), AFFINE)

    asked_all = threading.Event()
    monkeypatch.setattr(volumes_module, "read_study", slow)
    kept = Volumes(10**9)

    def ask() -> tuple[PetVolume, bool]:
        asked.wait(30)
        asked_all.set()
        return kept.study(file)

    with ThreadPoolExecutor(READERS) as pool:
        answers = [one.result() for one in [pool.submit(ask) for _ in range(READERS)]]
    assert len(reads) == 1
    assert len({id(volume) for volume, _ in answers}) == 1
    assert sum(at_hand for _, at_hand in answers) == READERS - 1


def test_a_study_that_changed_is_read_again_and_what_is_too_large_stays_while_it_is_used(file):
    kept = Volumes(1)
    first, at_hand = kept.study(file)
    assert not at_hand
    assert kept.study(file) == (first, True)
    save_nifti(hot_block() * 2, file)
    os.utime(file, ns=(1, 1))
    changed, at_hand = kept.study(file)
    assert not at_hand
    assert changed.voxels.max() == 16
    assert kept.bytes_held() == changed.voxels.nbytes


def test_a_sidecar_that_comes_changes_or_goes_is_noticed(file):
    kept = Volumes(10**9)
    sidecar = file.with_name("study.json")
    save_nifti(hot_block() * 5000, file)
    unknown = kept.study(file)[0]
    assert not unknown.suv_known
    fields = {"Units": "Bq/mL", "InjectedRadioactivity": 350, "InjectedRadioactivityUnits": "MBq"}
    fields |= {"InjectionStart": 0, "ImageDecayCorrectionTime": 0, "TracerRadionuclide": "F18"}
    for weight in (70, 140):
        sidecar.write_text(json.dumps({**fields, "BodyWeight": weight}))
        volume, at_hand = kept.study(file)
        assert not at_hand
        assert volume.voxels.max() == pytest.approx(8 * weight / 70)
        assert kept.study(file) == (volume, True)
    sidecar.unlink()
    assert kept.study(file)[0].units == unknown.units


def test_a_slice_corrected_in_place_is_noticed_and_a_folder_is_not_looked_through_at_each_click(tmp_path, monkeypatch):
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, tmp_path / "series")
    now, looks = [100.0], []

    def scandir(path: Path):
        looks.append(path)
        now[0] += 0.03  # as thousands of files take
        return scan(path)

    scan = os.scandir
    monkeypatch.setattr(volumes_module.os, "scandir", scandir)
    monkeypatch.setattr(volumes_module.time, "monotonic", lambda: now[0])
    stamps = volumes_module._Stamps()
    before = [stamps.of(tmp_path / "series") for _ in range(5)]
    assert (len(set(before)), len(looks)) == (1, 1)
    later = time.time_ns() + 10**9
    os.utime(next((tmp_path / "series").iterdir()), ns=(later, later))  # the folder keeps its own time
    now[0] += 0.7
    assert stamps.of(tmp_path / "series") != before[0]
    (tmp_path / "series" / "new.dcm").touch()
    os.utime(tmp_path / "series", ns=(later, later))
    assert stamps.of(tmp_path / "series") != before[0]  # at once: the folder itself changed
    assert len(looks) == 3


@pytest.mark.parametrize("name", ["large.nrrd", "large.mha", "large.nii.gz"])
def test_a_header_that_asks_for_too_much_is_refused_before_anything_is_read(tmp_path, name, monkeypatch):
    path = tmp_path / name
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 4, 4), np.float32)), str(path))
    monkeypatch.setattr(volumes_module, "MAX_VOXELS", 63)
    monkeypatch.setattr(volumes_module, "read_pet", lambda *args, **more: pytest.fail("it was read"))
    with pytest.raises(ValueError, match=rf"{name} says it has \[4, 4, 4\] voxels; at most 63"):
        Volumes(10**9).study(path)
    assert MAX_VOXELS == 2**29
