"""A final label of an archive's series whose headers make no DICOM SEG: kept here, and the archive's lack is said."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest
from archive_client import Client
from fastapi import HTTPException
from lib.store.archive import Archive
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import FINAL
from lib.store.series_cache import FETCHED, SERIES
from lib.store.volumes import Volumes
from small_studies import DICOM_AFFINE, hot_block

from seganypet.pet import write_pet_dicom_series


def test_a_label_that_makes_no_seg_is_kept_with_the_reason(tmp_path):
    files = write_pet_dicom_series(hot_block(), DICOM_AFFINE, tmp_path / "series")
    for file in files:
        header = pydicom.dcmread(file)
        del header.FrameOfReferenceUID
        header.save_as(file)
    client = Client()
    client.series = [str(header.SeriesInstanceUID)]
    store = ArchiveStore(Archive(client), tmp_path / "cache", Volumes(10**9))
    folder = store.root / SERIES / client.series[0]
    for file in files:
        file.rename(folder / file.name)
    (folder / FETCHED).write_text(str(len(files)))
    label = tmp_path / "label.nii.gz"
    nib.save(nib.Nifti1Image((hot_block() > 2).astype(np.uint8), DICOM_AFFINE), label)
    with pytest.raises(HTTPException, match=r"kept on this server.*FrameOfReferenceUID") as refused:
        store.save_label(client.series[0], str(label), FINAL, {"label": "lesion"})
    assert refused.value.status_code == 502
    kept = store.get_label_info(client.series[0], FINAL)
    assert [target["name"] for target in kept["targets"]] == ["lesion"]
    assert "FrameOfReferenceUID" in kept["seg"]["problem"]
