"""An archive without a network, for tests of what the store makes of one."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import pydicom
from lib.store.archive import ArchiveSeries
from pydicom.dataset import Dataset
from small_studies import DICOM_AFFINE, hot_block

from seganypet.pet import write_pet_dicom_series


class OneSeries:
    """An archive with one series, which takes every SEG."""

    url = "http://archive.invalid/dicom-web"

    def __init__(self, folder: Path) -> None:
        self.files = write_pet_dicom_series(hot_block(), DICOM_AFFINE, folder)
        self.uid = str(pydicom.dcmread(self.files[0]).SeriesInstanceUID)

    def pet_series(self) -> list[ArchiveSeries]:
        return [ArchiveSeries(self.uid, "1.2", 0, {})]

    def fetch(self, study_uid: str, uid: str, folder: Path, *, listed: int = 0) -> int:
        shutil.copytree(self.files[0].parent, folder, dirs_exist_ok=True)
        return len(self.files)

    def header_of(self, study_uid: str, uid: str, sop_uid: str, keywords: Collection[str]) -> Dataset | None:
        headers = (pydicom.dcmread(file, stop_before_pixels=True) for file in self.files)
        return next((header for header in headers if header.SOPInstanceUID == sop_uid), None)

    def count(self, study_uid: str, uid: str) -> int:
        return len(self.files)

    def segmentations(self, study_uid: str) -> list[str]:
        return []

    def store(self, file: Path) -> dict[str, str]:
        return {"series_uid": "1.2.4"}
