"""Labelled studies of a MONAI Label studies folder: what readers saved, and what a model left."""

from __future__ import annotations

import glob
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seganypet.data.data_list import QUALITIES, UNSAID_QUALITY, Entry
from seganypet.data.label_reading import LABEL_SUFFIXES
from seganypet.data.preparation.found import Found, FoundStudy
from seganypet.data.preparation.labels import present_names
from seganypet.pet import PetReadError, find_pet_series

INDEX = "datastore_v2.json"
TAGS = ("final", "original")  # a reader's, a machine's


def find_monai_label(
    folder: str | Path, *, label_names: Mapping[int, str] | None = None, kept_in: str | Path | None = None
) -> Found:
    """The studies with a label under labels/final or labels/original; of both, the reader's.

    A target's quality is what the index says of it, else what it says of the label map, else `UNSAID_QUALITY`; a map
    with targets of both qualities becomes two studies. Names are those stored with the map ("label_info"), else
    `label_names`, else the file's own.

    Args:
        folder: the studies folder.
        label_names: names of label values, for labels stored without.
        kept_in: a folder that holds its labels and index as they were at one moment; without, the studies folder does.

    Raises:
        FileNotFoundError: no labels folder.
    """
    folder, kept = Path(folder), Path(kept_in or folder)
    if not (kept / "labels").is_dir():
        raise FileNotFoundError(f"no folder {kept / 'labels'}: {kept} is no MONAI Label studies folder with labels")
    index = _read_index(kept / INDEX)
    series: dict[str, Path] | None = None
    found = Found()
    taken: set[str] = set()
    for tag in TAGS:
        files = (path for path in (kept / "labels" / tag).glob("*") if path.name.lower().endswith(LABEL_SUFFIXES))
        for label in sorted(files):
            name = _stem(label)
            if name is None or name in taken:
                continue
            taken.add(name)
            known = index.get(name, {})
            image = next((path for path in sorted(folder.glob(f"{glob.escape(name)}.*")) if _stem(path) == name), None)
            uid = known.get("image", {}).get("info", {}).get("series_uid")
            if image is None and uid is not None:
                series = _series_folders(folder) if series is None else series
                image = series.get(uid)
            if image is None:
                found.report(name, f"no image for label {label}")
                continue
            info = known.get("labels", {}).get(tag, {}).get("info", {})
            quality = info.get("quality", UNSAID_QUALITY)
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
                found.studies.append(FoundStudy(name, patient_of(name, known), Entry(image, label, members, one)))
    return found


def patient_of(name: str, known: Mapping[str, Any]) -> str:
    """Whose scan a study of an index is: its PatientID, or where that is not known a patient of its own."""
    about = known.get("image", {}).get("info", {}).get("about") or {}
    return str(about.get("patient_id") or name)


def _read_index(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("objects", {})
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, AttributeError) as error:
        raise ValueError(f"{path} is no index of MONAI Label: {error}") from None


def _series_folders(folder: Path) -> dict[str, Path]:
    try:
        found = find_pet_series(folder)
        shared = Counter(series.folder for series in found)
        # one file stands for its series where several lie in a folder
        return {one.uid: one.files[0] if shared[one.folder] > 1 else one.folder for one in found}
    except PetReadError:
        return {}


def _stem(path: Path) -> str | None:
    """A file's name without its ending, None where it is no image or label."""
    name = path.name
    ending = next((one for one in (".seg.nrrd", *LABEL_SUFFIXES) if name.lower().endswith(one)), None)
    return None if ending is None or not path.is_file() else name[: -len(ending)]
