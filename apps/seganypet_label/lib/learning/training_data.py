"""The labels of a studies folder or an archive as a data list for training."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import requests
from monailabel.interfaces.exception import ImageNotFoundException

from lib.learning.train_settings import TrainSettings
from lib.store.datastore import FINAL, StudyStore
from lib.store.label_quality import qualities_of
from seganypet.data.data_list import Entry, write_data_list
from seganypet.data.preparation import FoundStudy, Problem, check_studies, find_monai_label, patient_of, split_studies

logger = logging.getLogger(__name__)

ORIGINAL = "original"


@dataclass(frozen=True)
class TrainingData:
    """What there is to train on.

    Args:
        training: entries to train on.
        validation: final labels held out; empty where there are too few labels.
        left_out: studies that cannot be trained on, with the reason.
    """

    training: tuple[Entry, ...]
    validation: tuple[Entry, ...]
    left_out: tuple[Problem, ...] = ()

    def write(self, path: Path) -> Path:
        """The data list."""
        return write_data_list(path, {"training": self.training, "validation": self.validation})


def gather(store: StudyStore, settings: TrainSettings, folder: Path) -> TrainingData:
    """Labels and images of a store; series of an archive that are not here are fetched.

    Args:
        store: where readers go on saving meanwhile.
        settings: of the run.
        folder: of the run; holds the labels that it sees, as they are now.

    Raises:
        ValueError: nothing to train on; says why.
    """
    tags = (FINAL, ORIGINAL) if settings.use_original else (FINAL,)
    labelled = store.hold_labels(tags, folder)
    if not labelled:
        raise ValueError("there is no final label to train on")
    for study in labelled:
        try:
            store.source(study)
        except (ImageNotFoundException, requests.RequestException) as error:  # reported below, where its image misses
            logger.warning("%s cannot be fetched: %s", study, error)
    found = find_monai_label(store.root, kept_in=folder)
    problems = check_studies(found, progress=False)
    bad = {one.study for one in problems}
    sections = split_studies([one for one in found.studies if one.name not in bad], validation_share=settings.val_split)
    # what a model left is no measure of the next one
    held_out = [entry for entry in sections["validation"] if _tag(entry) == FINAL]
    data = TrainingData(tuple(sections["training"]), tuple(held_out), tuple(problems))
    for problem in problems:
        logger.warning("%s is left out: %s", problem.study, problem.text)
    if not any(_tag(entry) == FINAL for entry in data.training):
        reasons = "; ".join(f"{one.study}: {one.text}" for one in problems[:5])
        few = too_few(patients_of(store, labelled), settings)
        raise ValueError(reasons or few or "there is no final label to train on")
    return data


def too_few(patients: Mapping[str, str], settings: TrainSettings) -> str:
    """Why the studies with a final label do not suffice for training; "" where they do.

    Which studies are held out follows from their patients, so that a study trained on is never asked later what was
    learned, nor another scan of the same patient.

    Args:
        patients: of the studies with a final label, see `patients_of`.
        settings: of the run.
    """
    names = list(patients)
    if not names:
        return "no study has a final label yet: save one first"
    unread = Entry(Path(), Path(), {})
    studies = [FoundStudy(name, patient, unread) for name, patient in patients.items()]
    sections = split_studies(studies, validation_share=settings.val_split)
    if sections["training"]:
        return ""
    return f"all studies with a final label ({', '.join(names[:5])}) are held out for validation: label one more study"


def patients_of(store: StudyStore, studies: Iterable[str]) -> dict[str, str]:
    """Whose scan each study is; one that is gone by now is its own patient's."""
    known = store.json()["objects"]
    return {study: patient_of(study, known.get(study, {})) for study in studies}


def without_experts(store: StudyStore, labelled: Iterable[str], settings: TrainSettings) -> str:
    """Why a strategy that learns from checked labels cannot be taken; "" where it can."""
    if settings.strategy == "finetune":
        return ""
    for study in labelled:
        if "high" in qualities_of(store.get_label_info(study, FINAL), store.final_quality):
            return ""
    return (
        f"strategy {settings.strategy} learns from labels that an expert checked, and no final label is one: "
        "mark them so, or take strategy finetune"
    )


def _tag(entry: Entry) -> str:
    return entry.label.parent.name
