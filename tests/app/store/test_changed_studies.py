"""Labels of studies whose files changed after they were saved: other headers, or another image."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from fastapi import HTTPException
from lib.store.datastore import FINAL, StudyStore
from lib.store.findings import saved_targets
from lib.store.volumes import Volumes
from small_studies import AFFINE, DICOM_AFFINE, HOT, SHAPE, hot_block, save_nifti

from seganypet.pet import write_pet_dicom_series

LESION = np.zeros(SHAPE, bool)
LESION[HOT] = True


def open_store(folder: Path) -> StudyStore:
    return StudyStore(str(folder), Volumes(2**30), auto_reload=False)


def shown(store: StudyStore, study: str) -> list[dict]:
    return [one.to_dict() for one in saved_targets(store, study, store.volume(study))]


def test_a_corrected_weight_changes_the_suv_of_what_was_saved_before(tmp_path):
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, tmp_path / "ann")
    store = open_store(tmp_path)
    quality = {"label": "lesion", "quality": "high", "came_from": {"clicks": [{"ijk": [7, 8, 12], "positive": True}]}}
    store.save_target("ann", FINAL, LESION, quality)
    (before,) = shown(store, "ann")
    assert before["suv_max"] == pytest.approx(8, rel=0.01)
    for file in (tmp_path / "ann").iterdir():
        header = pydicom.dcmread(file)
        header.PatientWeight *= 2
        header.save_as(file)
    for _ in range(2):
        (after,) = shown(store, "ann")
        assert (after["suv_max"], after["tlg"]) == pytest.approx((2 * before["suv_max"], 2 * before["tlg"]), rel=1e-3)
    same = ("name", "volume_ml", "tracking_uid", "clicks", "quality", "by", "at", "digest")
    assert [after[key] for key in same] == [before[key] for key in same]
    kept = open_store(tmp_path).get_label_info("ann", FINAL)["targets"][0]  # the start page reads what is kept
    assert kept["suv_max"] == after["suv_max"]


def test_a_label_of_another_image_is_named_and_kept(tmp_path):
    save_nifti(hot_block(), tmp_path / "block.nii.gz")
    store = open_store(tmp_path)
    store.save_target("block", FINAL, LESION, {"label": "lesion"})
    label = tmp_path / "labels" / "final" / "block.nii.gz"
    content = label.read_bytes()
    nib.save(nib.Nifti1Image(hot_block()[:, :, 4:], AFFINE), tmp_path / "block.nii.gz")
    for ask in (
        lambda: shown(store, "block"),
        lambda: store.save_target("block", FINAL, LESION[:, :, 4:], {"label": "node"}),
    ):
        with pytest.raises(
            HTTPException, match=r"kept of study 'block' does not fit it .*move labels.final.block\.nii\.gz"
        ):
            ask()
    assert label.read_bytes() == content
    label.unlink()
    store.refresh()
    store.save_target("block", FINAL, LESION[:, :, 4:], {"label": "node"})
    assert [one["name"] for one in shown(store, "block")] == ["node"]
