"""Data lists: which scans, which label maps, what their values mean and how far the labels can be trusted.

A list is JSON in MONAI's decathlon style, paths relative to the file that holds them:

    {"labels": {"6": "liver", "101": "lesion_1"},
     "training": [{"image": "a/suv.nii.gz", "label": "a/labels.nii.gz",
                   "label_names": {"6": "liver", "101": "lesion_1"}, "quality": "high"}],
     "validation": [], "test": []}

`quality` is "high" (checked by an expert) or "low" (made by a machine or a novice); an entry that does not say counts
as low. An entry without `label_names` takes the list's `labels`. Label value 0 is background and is never named.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from seganypet.data.json_file import read_json
from seganypet.data.label_reading import LabelError, on_grid_of, read_label_map
from seganypet.data.targets import SMALLEST_VOXELS, parts_of
from seganypet.pet import PetReadError, read_pet
from seganypet.whole_file import whole_file

SECTIONS = ("training", "validation", "test")
QUALITIES = ("high", "low")
UNSAID_QUALITY = "low"
"""Of a label of which nobody said that an expert checked it, in a data list and in a studies folder alike."""


@dataclass(frozen=True)
class Entry:
    """One scan with its label map.

    Args:
        image: NIfTI file or DICOM folder.
        label: label map, NIfTI on the image's grid.
        label_names: what each label value means; each is a target.
        quality: "high" or "low".
    """

    image: Path
    label: Path
    label_names: dict[int, str]
    quality: str = "high"


@dataclass(frozen=True)
class DataList:
    """The entries of a data list by section, all paths absolute."""

    training: list[Entry] = field(default_factory=list)
    validation: list[Entry] = field(default_factory=list)
    test: list[Entry] = field(default_factory=list)

    def __getitem__(self, section: str) -> list[Entry]:
        if section not in SECTIONS:
            raise KeyError(f"a data list has {', '.join(SECTIONS)}, not {section!r}")
        return getattr(self, section)

    @property
    def labels(self) -> dict[int, str]:
        """Every label value that an entry names; the first name where entries differ."""
        named: dict[int, str] = {}
        for section in SECTIONS:
            for entry in self[section]:
                named = entry.label_names | named
        return dict(sorted(named.items()))


def read_data_list(path: str | Path, *, check_files: bool = True) -> DataList:
    """The entries of the data list at `path`.

    Args:
        path: JSON file.
        check_files: whether images and labels have to exist.

    Raises:
        FileNotFoundError: no file at `path`.
        ValueError: not JSON, or entries that are wrong; the message names each with its problem.
    """
    path = Path(path)
    content = read_json(path)
    if not isinstance(content, dict) or not any(section in content for section in SECTIONS):
        raise ValueError(f"{path} must be an object with one of {', '.join(SECTIONS)}")
    problems: list[str] = []
    named = _label_names(content.get("labels", {}), "labels", problems)
    sections: dict[str, list[Entry]] = {}
    for section in SECTIONS:
        sections[section] = []
        rows = content.get(section, [])
        if not isinstance(rows, list):
            problems.append(f"{section}: must be a list, got {type(rows).__name__}")
            continue
        for number, row in enumerate(rows):
            entry = _entry(row, f"{section}[{number}]", path.resolve().parent, named, check_files, problems)
            if entry is not None:
                sections[section].append(entry)
    if problems:
        raise ValueError(f"{path} has {len(problems)} problem(s):\n  " + "\n  ".join(problems))
    return DataList(**sections)


def write_data_list(path: str | Path, sections: Mapping[str, Sequence[Entry]]) -> Path:
    """Write entries as a data list, their paths relative to it; a reader never sees half a file.

    Raises:
        ValueError: a section that is none of `SECTIONS`, or a quality that is none of `QUALITIES`.
    """
    path = Path(path)
    unknown = sorted(set(sections) - set(SECTIONS))
    if unknown:
        raise ValueError(f"a data list has {', '.join(SECTIONS)}, not {', '.join(unknown)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    home = path.resolve().parent
    labels = DataList(**{section: list(entries) for section, entries in sections.items()}).labels
    content: dict[str, Any] = {"labels": {str(value): name for value, name in labels.items()}}
    for section in SECTIONS:
        content[section] = []
        for entry in sections.get(section, ()):
            if entry.quality not in QUALITIES:
                raise ValueError(f"{entry.image}: quality must be one of {', '.join(QUALITIES)}, got {entry.quality!r}")
            content[section].append(
                {
                    "image": Path(os.path.relpath(Path(entry.image).absolute(), home)).as_posix(),
                    "label": Path(os.path.relpath(Path(entry.label).absolute(), home)).as_posix(),
                    "label_names": {str(value): name for value, name in entry.label_names.items()},
                    "quality": entry.quality,
                }
            )
    with whole_file(path) as draft:
        draft.write_text(json.dumps(content, indent=1))
    return path


def find_problems(entries: Iterable[Entry]) -> list[str]:
    """What is wrong with the voxels of entries: reads every file, so that training does not stop on one later.

    Returns:
        One line a problem, "<image>: <problem>": grids that differ, values that are not finite or not SUV, named
        labels that the map does not hold. An empty list where all is well.
    """
    problems = []
    for entry in entries:
        problems += [f"{entry.image}: {problem}" for problem in _voxel_problems(entry)]
    return problems


def _voxel_problems(entry: Entry) -> list[str]:
    try:
        label = read_label_map(entry.label)
    except LabelError as error:
        return [str(error)]
    values = np.unique(label.voxels)
    problems = []
    missing = [f"{name} ({value})" for value, name in entry.label_names.items() if value not in values]
    if missing:
        problems.append(f"label {entry.label} holds no voxel of {', '.join(missing)}")
    sizes = [part.mask.sum() for part in parts_of(label.voxels, entry.label_names)]
    if sizes and max(sizes) < SMALLEST_VOXELS:
        problems.append(f"label {entry.label} holds single voxels alone, which are not trained on")
    try:
        volume = read_pet(entry.image)
    except (PetReadError, FileNotFoundError, ValueError) as error:
        return [*problems, f"cannot be read: {error}"]
    try:
        on_grid_of(label, volume, entry.label)
    except LabelError as error:
        problems.append(str(error))
    if not volume.suv_known:
        assert volume.suv_provenance is not None
        problems.append(f"no SUV: {volume.suv_provenance.reason}")
    elif volume.voxels.max() <= 0:
        problems.append("no voxel above 0")
    return problems


def _entry(
    row: Any, where: str, home: Path, named: dict[int, str], check_files: bool, problems: list[str]
) -> Entry | None:
    if not isinstance(row, dict):
        problems.append(f"{where}: must be an object, got {type(row).__name__}")
        return None
    before = len(problems)
    paths = {}
    for key in ("image", "label"):
        value = row.get(key)
        if not isinstance(value, str) or not value:
            problems.append(f"{where}: {key!r} must be a path, got {value!r}")
            continue
        paths[key] = Path(os.path.normpath(home / value))
        if check_files and not paths[key].exists():
            problems.append(f"{where}: no {key} at {paths[key]}")
    quality = row.get("quality", UNSAID_QUALITY)
    if quality not in QUALITIES:
        problems.append(f"{where}: quality must be one of {', '.join(QUALITIES)}, got {quality!r}")
    names = _label_names(row["label_names"], f"{where}.label_names", problems) if "label_names" in row else named
    if not names and len(problems) == before:
        problems.append(f"{where}: neither the entry nor the list names a label value")
    return Entry(paths["image"], paths["label"], dict(names), quality) if len(problems) == before else None


def _label_names(values: Any, where: str, problems: list[str]) -> dict[int, str]:
    if not isinstance(values, dict):
        problems.append(f"{where}: must be an object of label values and names, got {type(values).__name__}")
        return {}
    names = {}
    for value, name in values.items():
        if not str(value).isdigit():
            problems.append(f"{where}: label values are whole numbers from 1, got {value!r}")
        elif not isinstance(name, str) or not name:
            problems.append(f"{where}: the name of value {value} must be text, got {name!r}")
        elif int(value) > 0:  # decathlon lists name 0 "background"
            names[int(value)] = name
    return names
