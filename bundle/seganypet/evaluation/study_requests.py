"""Data lists whose entries carry clicks: what to segment in which study."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seganypet.clicks import Prompt
from seganypet.clicks.prompts import selects
from seganypet.clicks.reading import read_prompts
from seganypet.data.json_file import read_json

LISTS = ("studies", "test", "validation", "training")  # keys under which a data list holds its entries
DEFAULT_LABEL = "target"


@dataclass(frozen=True)
class StudyRequest:
    """What to segment in one study.

    Args:
        image: NIfTI file or DICOM folder.
        targets: label name → its clicks and other prompts in order.
        series_uid: which series, where the folder holds several.
        units: of the voxels, where the file does not say.
    """

    image: Path
    targets: Mapping[str, tuple[Prompt, ...]]
    series_uid: str | None = None
    units: str | None = None


def read_study_requests(path: str | Path) -> tuple[list[StudyRequest], list[str]]:
    """The studies of a data list with clicks.

    The list is JSON: a list of entries, or an object that holds one under "studies", "test", "validation" or
    "training". An entry is {"image": path, "label_name": "liver", "clicks": [{"ijk": [120, 80, 45], "positive": true}]}
    with the path relative to the list, its clicks (or "prompts") as `read_prompts` reads them; entries of one image are
    answered together, each label by itself.

    Returns:
        The studies in the order of the list, and one line for each entry that cannot be used.

    Raises:
        FileNotFoundError: no file at `path`.
        ValueError: not JSON, or without entries.
    """
    path = Path(path)
    content = read_json(path)
    named = {key: content[key] for key in LISTS if content.get(key)} if isinstance(content, dict) else {"": content}
    entries = [
        (f"{key}[{n}]", entry) for key, rows in named.items() if isinstance(rows, list) for n, entry in enumerate(rows)
    ]
    if not entries:
        raise ValueError(f"{path} must be a list of entries, or hold one under {', '.join(LISTS)}")
    targets: dict[Path, dict[str, tuple[Prompt, ...]]] = {}
    problems = []
    for where, entry in entries:
        try:
            image, label, clicks = _entry(entry, path.resolve().parent)
            if label in targets.get(image, {}):
                raise ValueError(f"label {label!r} of {image} stands in the list twice")
        except (ValueError, FileNotFoundError) as error:
            problems.append(f"{path.name} {where}: {error}")
            continue
        targets.setdefault(image, {})[label] = clicks
    return [StudyRequest(image, found) for image, found in targets.items()], problems


def study_names(images: Iterable[Path]) -> dict[Path, str]:
    """A folder name for each study: the file's or folder's own, with what tells it apart where several share one."""
    names: dict[Path, str] = {}
    for image in images:
        own = re.sub(r"\.nii(\.gz)?$", "", image.name)
        name = file_name(own)
        if name in names.values():
            name = file_name(f"{image.resolve().parent.name}_{own}")
        number = 2
        while name in names.values():
            name, number = f"{file_name(own)}_{number}", number + 1
        names[image] = name
    return names


def file_names(labels: Iterable[str]) -> dict[str, str]:
    """The name of a file for each label of one study, without its ending.

    Raises:
        ValueError: two labels whose files would have one name.
    """
    names: dict[str, str] = {}
    for label in labels:
        name = file_name(label)
        other = next((one for one, taken in names.items() if taken == name), None)
        if other is not None:
            raise ValueError(f"labels {other!r} and {label!r} would share the file name {name!r}: rename one of them")
        names[label] = name
    return names


def file_name(text: str) -> str:
    """Text as a file name: letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "unnamed"


def _entry(entry: Any, home: Path) -> tuple[Path, str, tuple[Prompt, ...]]:
    if not isinstance(entry, dict):
        raise ValueError(f"must be an object, got {type(entry).__name__}")
    image, label = entry.get("image"), entry.get("label_name", DEFAULT_LABEL)
    if not isinstance(image, str) or not image:
        raise ValueError(f"'image' must be a path, got {image!r}")
    if not isinstance(label, str) or not label:
        raise ValueError(f"'label_name' must be text, got {label!r}")
    given = entry.get("prompts", entry.get("clicks"))
    clicks = tuple(read_prompts(given))
    if not selects(clicks):
        raise ValueError(f"'clicks' of {label!r} need a positive click, got {given!r}"[:300])
    return home / image, label, clicks
