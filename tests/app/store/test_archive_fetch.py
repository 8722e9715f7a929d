"""What is fetched of an archive is a whole series, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from lib.store.archive import Archive
from pydicom import dcmread
from pydicom.dataset import Dataset
from small_studies import DICOM_AFFINE, SHAPE, hot_block

from seganypet.pet import write_pet_dicom_series


class Client:
    """Sends the first files of a folder, each twice."""

    base_url = "http://archive/dicom-web"

    def __init__(self, folder: Path, count: int) -> None:
        self.files = sorted(folder.iterdir())[:count]

    def iter_series(self, study_uid: str, uid: str) -> Iterator[Dataset]:
        for file in self.files:
            yield dcmread(file)
            yield dcmread(file)


def test_a_series_of_which_a_part_is_sent_is_refused_and_leaves_nothing(tmp_path):
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, tmp_path / "sent")
    target = tmp_path / "cache" / "1.2"
    target.mkdir(parents=True)
    with pytest.raises(requests.RequestException, match=f"sent 20 of the {SHAPE[2]} instances it lists of series 1.2"):
        Archive(Client(tmp_path / "sent", 20)).fetch("1", "1.2", target, listed=SHAPE[2])
    assert list(target.parent.iterdir()) == [target]
    assert list(target.iterdir()) == []
    whole = Archive(Client(tmp_path / "sent", SHAPE[2]))
    assert whole.fetch("1", "1.2", target, listed=SHAPE[2]) == len(list(target.iterdir())) == SHAPE[2]
