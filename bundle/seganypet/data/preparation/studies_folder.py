"""Labelled studies of a MONAI Label studies folder: what readers saved, and what a model left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seganypet.data.data_list import QUALITIES, Entry
from seganypet.data.preparation.found import Found, FoundStudy
from seganypet.data.preparation.labels import present_names
from seganypet.pet import PetReadError, find_pet_series

INDEX = "datastore_v2.json"
TAGS = {"final": "high", "original": "low"}  # a reader's, a machine's
ENDINGS = (".nii.gz", ".nii")
OTHER_ENDINGS = (".seg.nrrd", ".nrrd")  # that MONAI Label keeps too


def find_monai_label(folder: str | Path, *, label_names: Mapping[int, str] | None = None) -> Found:
    """The studies with a label under labels/final or labels/original; of both, the reader's.

    A target's quality is what the index says of it, else what it says of the label map, else high for `final` and low
    for `original`; a map with targets of both qualities becomes two studies. Names are those stored with the map
    ("label_info"), else `label_names`.

    Args:
        folder: the studies folder.
        label_names: names of label values, for labels stored without.

    Raises:
        FileNotFoundError: no labels folder.
    """
    folder = Path(folder)
    if not (folder / "labels").is_dir():
        raise FileNotFoundError(f"no folder {folder / 'labels'}: {folder} is no MONAI Label studies folder with labels")
    index = _read_index(folder / INDEX)
    series: dict[str, Path] | None = None
    found = Found()
    taken: set[str] = set()
    for tag, usual_quality in TAGS.items():
        files = (path for path in (folder / "labels" / tag).glob("*") if path.name.endswith(ENDINGS + OTHER_ENDINGS))
        for label in sorted(files):
            name = _stem(label)
            if name in taken:
                continue
            taken.add(name)
            if not label.name.endswith(ENDINGS):
                found.report(name, f"label {label} is no NIfTI, which training needs")
                continue
            known = index.get(name, {})
            image = next(
                (folder / f"{name}{ending}" for ending in ENDINGS if (folder / f"{name}{ending}").is_file()), None
            )
            uid = known.get("image", {}).get("info", {}).get("series_uid")
            if image is None and uid is not None:
                series = _series_folders(folder) if series is None else series
                image = series.get(uid)
            if image is None:
                found.report(name, f"no image for label {label}")
                continue
            info = known.get("labels", {}).get(tag, {}).get("info", {})
            quality = info.get("quality", usual_quality)
            quality_of = {
                int(item["idx"]): item.get("quality", quality) for item in info.get("targets", []) if "idx" in item
            }
            wrong = [one for one in (quality, *quality_of.values()) if one not in QUALITIES]
            if wrong:
                found.report(name, f"label {label} is stored with quality {wrong[0]!r}, not {' or '.join(QUALITIES)}")
                continue
            stored = {int(item["idx"]): str(item["name"]) for item in info.get("label_info", []) if "idx" in item}
            here = present_names(label, stored or dict(label_names or {}), name, found)
            for one in sorted({quality_of.get(value, quality) for value in here} or {quality}):
                members = {value: text for value, text in here.items() if quality_of.get(value, quality) == one}
                found.studies.append(FoundStudy(name, name, Entry(image, label, members, one)))
    return found


def _read_index(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text()).get("objects", {})
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, AttributeError) as error:
        raise ValueError(f"{path} is no index of MONAI Label: {error}") from None


def _series_folders(folder: Path) -> dict[str, Path]:
    try:
        return {series.uid: series.folder for series in find_pet_series(folder)}
    except PetReadError:
        return {}


def _stem(path: Path) -> str:
    return next(path.name.removesuffix(ending) for ending in ENDINGS + OTHER_ENDINGS if path.name.endswith(ending))
