"""Phantoms to learn from on a server, and weights that nothing can be worse than."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from lib.store.archive import ArchiveSeries
from pydicom import dcmread
from running_server import REPO, Server
from small_studies import DICOM_AFFINE, SHAPE, hot_block

from seganypet.data import read_data_list, write_cohort
from seganypet.data.data_list import Entry
from seganypet.data.preparation import FoundStudy, split_studies
from seganypet.networks import load_network, save_network
from seganypet.pet import write_pet_dicom_series


def is_held_out(name: str) -> bool:
    """Whether a study of this name is never trained on."""
    found = FoundStudy(name, name, Entry(Path(), Path(), {}))
    return bool(split_studies([found], validation_share=0.2)["validation"])


NAMES = [f"study_{number}" for number in range(40)]
TRAINED_ON = [name for name in NAMES if not is_held_out(name)]
HELD_OUT = [name for name in NAMES if is_held_out(name)]


def save_shy_network(path: Path) -> Path:
    """The embedded network with its logits lowered: it finds too little, and a few steps of training help."""
    net = load_network(REPO / "bundle" / "models" / "model.pt")
    with torch.no_grad():
        net.decoder.head.bias.sub_(0.4)
    save_network(net, path)
    return path


class OneSeriesArchive:
    """An archive of one series; what is stored in it is forgotten."""

    url = "http://archive/dicom-web"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_pet_dicom_series(hot_block(), DICOM_AFFINE, folder)
        header = dcmread(next(folder.iterdir()), stop_before_pixels=True)
        self.series = ArchiveSeries(header.SeriesInstanceUID, header.StudyInstanceUID, SHAPE[2], {})

    def pet_series(self) -> list[ArchiveSeries]:
        return [self.series]

    def fetch(self, study_uid: str, uid: str, folder: Path, *, listed: int = 0) -> int:
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return SHAPE[2]

    def segmentations(self, study_uid: str) -> list[str]:
        return []

    def store(self, file: Path) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class Phantoms:
    """Coarse phantoms as studies of a server, with their truth.

    Args:
        studies: the studies folder.
        truth: study → its entry of the cohort's data list.
    """

    studies: Path
    truth: dict[str, Entry]

    @classmethod
    def write(cls, folder: Path, names: list[str]) -> Phantoms:
        cohort = write_cohort(
            folder / "cohort", len(names), 3, voxel_size_mm=(8, 8, 8), lesion_count=2, workers=1, progress=False
        )
        studies = folder / "studies"
        studies.mkdir()
        truth = dict(zip(names, read_data_list(cohort)["training"], strict=True))
        for name, entry in truth.items():
            shutil.copy(entry.image, studies / f"{name}.nii.gz")
        return cls(studies, truth)

    def save_truth(self, server: Server, study: str, quality: str) -> None:
        """What a reader would save who knew the truth."""
        entry, file = self.truth[study], server.log.parent / "label.nii.gz"
        image = nib.load(entry.label)
        voxels = np.asarray(image.dataobj)
        nib.save(nib.Nifti1Image(np.where(np.isin(voxels, list(entry.label_names)), voxels, 0), image.affine), file)
        info = {"label_info": [{"name": name, "idx": value} for value, name in entry.label_names.items()]}
        server.client.save_label(study, str(file), "final", {**info, "quality": quality})

    def click(self, study: str) -> dict:
        """A click into the first of a study's targets, as a request."""
        entry = self.truth[study]
        value, name = next(iter(entry.label_names.items()))
        inside = np.argwhere(np.asarray(nib.load(entry.label).dataobj) == value)
        return {"label": name, "foreground": [inside[len(inside) // 2].tolist()], "background": []}
