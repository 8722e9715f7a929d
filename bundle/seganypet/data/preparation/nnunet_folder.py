"""Labelled studies of an nnU-Net dataset folder or of AutoPET's NIfTI folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from seganypet.data.data_list import Entry
from seganypet.data.json_file import read_json
from seganypet.data.preparation.found import Found, FoundStudy
from seganypet.data.preparation.labels import present_names
from seganypet.data.preparation.nnunet_splits import Fold

PET_CHANNEL = re.compile(r"(?<![a-z])(pt|pet|suv)", re.IGNORECASE)
IGNORE = "ignore"  # nnU-Net's name for voxels that nobody annotated
ENDING = ".nii.gz"  # where dataset.json names none, as nnU-Net's version 1


def find_nnunet(
    folder: str | Path,
    *,
    channel: int | None = None,
    patient: str | None = None,
    quality: str = "high",
    splits: str | Path | None = None,
    fold: int | None = None,
) -> Found:
    """The studies of a folder with dataset.json, imagesTr, labelsTr and, where there, imagesTs, labelsTs.

    Args:
        folder: nnU-Net's DatasetXXX_Name, version 1 or 2.
        channel: which channel is the PET in SUV; by default the one whose name says so, or the only one.
        patient: regular expression for the part of a case's name that is its patient, whose scans stay in one section:
            "fdg_[0-9a-f]+" for AutoPET; by default every case is a patient.
        quality: of all its labels.
        splits: nnU-Net's splits_final.json, whose train and val become training and validation.
        fold: which of its folds, from 0, the first by default.

    Raises:
        FileNotFoundError: no dataset.json, or no file at `splits`.
        ValueError: it is not nnU-Net's, or does not say which channel is the PET; or `splits` is not nnU-Net's, or has
            no such fold; or a fold without `splits`; or a channel that is no number, or a `patient` that is no regular
            expression.
    """
    if channel is not None and not isinstance(channel, int):
        raise ValueError(f"channel must be a number, as 1 in case_0001.nii.gz, got {channel!r}")
    try:
        name_of_patient = re.compile(patient) if patient else None
    except re.error as error:
        raise ValueError(f"patient must be a regular expression, got {patient!r}: {error}") from None
    folder = Path(folder)
    description = _read_description(folder / "dataset.json")
    number = _pet_channel(description, folder) if channel is None else channel
    names, ending = _label_names(description), str(description.get("file_ending") or ENDING)
    if fold is not None and splits is None:
        raise ValueError(f"fold {fold} of which splits? Name nnU-Net's splits_final.json by --splits")
    split = None if splits is None else Fold.read(splits, fold or 0)
    found = Found()
    for images, labels, section in (("imagesTr", "labelsTr", None), ("imagesTs", "labelsTs", "test")):
        if section == "test" and not (folder / labels).is_dir():
            continue
        suffix = f"_{number:04d}{ending}"
        cases = {path.name.removesuffix(suffix): path for path in sorted((folder / images).glob(f"*{suffix}"))}
        masks = {path.name.removesuffix(ending): path for path in sorted((folder / labels).glob(f"*{ending}"))}
        for case in sorted(cases.keys() | masks.keys()):
            if case not in cases:
                found.report(case, f"no image {folder / images / (case + suffix)}")
            elif case not in masks:
                found.report(case, f"no label {folder / labels / (case + ending)}")
            else:
                here = present_names(masks[case], names, case, found)
                if IGNORE in here.values():
                    found.report(case, f"label {masks[case]} holds voxels to ignore, which would count as background")
                entry = Entry(cases[case], masks[case], here, quality)
                group = name_of_patient.search(case) if name_of_patient else None
                if name_of_patient and group is None:
                    found.report(case, f"its name does not match {patient!r}, which should name its patient")
                place = split.section_of(case) if split is not None and section is None else section
                found.studies.append(FoundStudy(case, group.group() if group else case, entry, place))
        if split is not None and section is None:
            split.report_misplaced(cases.keys() | masks.keys(), found)
    return found


def find_autopet(folder: str | Path, *, quality: str = "high") -> Found:
    """The studies of AutoPET's NIfTI tree: `<patient>/<study>/SUV.nii.gz` with `SEG.nii.gz` beside it.

    Args:
        folder: that holds the patients.
        quality: of all its labels.
    """
    found = Found()
    for image in sorted(Path(folder).glob("*/*/SUV.nii.gz")):
        name = f"{image.parts[-3]}/{image.parts[-2]}"
        label = image.with_name("SEG.nii.gz")
        if not label.is_file():
            found.report(name, f"no label {label}")
            continue
        here = present_names(label, {1: "lesion"}, name, found)
        found.studies.append(FoundStudy(name, image.parts[-3], Entry(image, label, here, quality)))
    return found


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = read_json(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"no {path}: an nnU-Net folder has one, AutoPET's tree has */*/SUV.nii.gz") from None
    if not isinstance(description, dict) or not isinstance(description.get("labels"), dict):
        raise ValueError(f"{path} has no 'labels' as nnU-Net writes them")
    return description


def _pet_channel(description: dict[str, Any], folder: Path) -> int:
    channels = description.get("channel_names") or description.get("modality") or {}
    if isinstance(channels, list):
        channels = dict(enumerate(channels))
    numbered = {int(number): str(name) for number, name in channels.items() if _is_whole(number)}
    named = [number for number, name in numbered.items() if len(numbered) == 1 or PET_CHANNEL.search(name)]
    if len(named) == 1:
        return named[0]
    raise ValueError(f"which of the channels {channels} of {folder} is the PET in SUV? Say so by --channel")


def _label_names(description: dict[str, Any]) -> dict[int, str]:
    """Names of the label values: version 2 has name → value, or name → the values of a region; version 1 value → name.

    A value of several regions is called after the smallest one that holds it: "core" within "whole". Numbers may be
    written as text. Background is left out.
    """
    regions: list[tuple[list[int], str]] = []
    for key, value in description["labels"].items():
        if isinstance(value, list):
            regions.append(([int(one) for one in value if _is_whole(one)], str(key)))
        elif _is_whole(value) and not (isinstance(value, str) and str(key).isdigit()):
            regions.append(([int(value)], str(key)))
        elif _is_whole(key):
            regions.append(([int(key)], str(value)))
    names: dict[int, str] = {}
    for values, name in sorted(regions, key=lambda region: -len(region[0])):
        names |= dict.fromkeys(values, name)
    return {value: name for value, name in sorted(names.items()) if value > 0 and name != "background"}


def _is_whole(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, str) and value.isdigit())
