"""What is said of images and labels, and who may say it: some keys are the server's own, clients say the others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from lib.store.bad_request import BadRequest

DICOM = "dicom"  # stands where a file's extension stands in an entry of the index

OF_AN_IMAGE = ("folder", "series_uid", "about", "name", "ts", "path", "id", "uncertainty")
OF_A_LABEL = ("targets", "label_info", "suv_provenance", "measured_on", "seg", "name", "ts", "reader")
OF_A_SAVE = ("targets", "came_from", "seg", "removed")  # the other keys of a label are made anew with each save


def check_image_info(info: Any) -> None:
    """Refuse what a client may not say of an image.

    Raises:
        BadRequest: no object, a key that is the server's, or a `strategy` that says not when a study was handed out.
    """
    _refuse(info, OF_AN_IMAGE, "an image")
    if "strategy" in info and not _is_strategy(info["strategy"]):
        raise BadRequest(f'strategy must be an object like {{"random": {{"ts": 0}}}}, got {info["strategy"]!r}'[:300])


def check_label_info(info: Any) -> None:
    """Refuse what a client may not say of a label that is there.

    Raises:
        BadRequest: no object, or a key that is the server's.
    """
    _refuse(info, OF_A_LABEL, "a label")


def check_save_info(info: Any) -> None:
    """Refuse what a client may not say of a label that it saves.

    Raises:
        BadRequest: no object, or a key that is the server's.
    """
    _refuse(info, OF_A_SAVE, "a label that is saved")


def is_folder_inside(folder: Any) -> bool:
    """Whether a series' folder, as the index names it, lies under the studies folder; links in there are followed."""
    if not isinstance(folder, str) or not folder or "\0" in folder:
        return False
    path = PurePosixPath(folder)
    return not path.is_absolute() and ".." not in path.parts


def sound_index(index: Any) -> Any:
    """An index as it can be used, in place: what was said before it was checked must not stop the server.

    A DICOM series that the index describes wrongly is left out: it is listed anew when the studies folder is looked
    through, and its labels, which say what they are in the JSON beside them, are taken in again.
    """
    objects = index.get("objects") if isinstance(index, dict) else None
    if not isinstance(objects, dict):
        return index
    for study, entry in list(objects.items()):
        image = entry["image"] if isinstance(entry, dict) and isinstance(entry.get("image"), dict) else {}
        if not isinstance(image.get("info"), dict) or not _is_sound_series(image):
            del objects[study]
            continue
        _drop_unsound(image["info"], _IMAGE_SHAPES if image.get("ext") == DICOM else _FILE_SHAPES)
        labels = entry.get("labels")
        for label in labels.values() if isinstance(labels, dict) else ():
            sound_label_info(label.get("info") if isinstance(label, dict) else None)
    return index


def sound_label_info(info: Any) -> dict[str, Any]:
    """What is said of a label as it can be used, in place; keys with values that cannot be are left out."""
    if not isinstance(info, dict):
        return {}
    _drop_unsound(info, _LABEL_SHAPES)
    return info


def _refuse(info: Any, owned: Iterable[str], what: str) -> None:
    if not isinstance(info, Mapping):
        raise BadRequest(f"what is said of {what} must be a JSON object, got {type(info).__name__}")
    found = [key for key in owned if key in info]
    if found:
        raise BadRequest(f"{', '.join(found)}: only the server says that of {what}; leave it out")


def _is_sound_series(image: Mapping[str, Any]) -> bool:
    if image.get("ext") != DICOM:
        return True
    info = image["info"]
    about = info.get("about")
    named = isinstance(about, dict) and isinstance(about.get("study_uid"), str)
    return named and is_folder_inside(info.get("folder")) and isinstance(info.get("series_uid"), str)


def _drop_unsound(info: dict[str, Any], shapes: Mapping[str, Any]) -> None:
    for key, is_sound in shapes.items():
        if key in info and not is_sound(info[key]):
            del info[key]


def _is_strategy(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(one, dict) and _is_time(one.get("ts", 0)) for one in value.values()
    )


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12 and math.isfinite(value)


def _are_targets(value: Any) -> bool:
    return isinstance(value, list) and all(_is_target(one) for one in value)


def _is_target(value: Any) -> bool:
    named = isinstance(value, dict) and isinstance(value.get("name"), str) and isinstance(value.get("idx"), int)
    return named and isinstance(value.get("clicks") or [], list)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _never(value: Any) -> bool:
    return False


_IMAGE_SHAPES = {"about": lambda value: isinstance(value, dict), "strategy": _is_strategy, "ts": _is_time}
_FILE_SHAPES = {**_IMAGE_SHAPES, "folder": _never, "series_uid": _never}
_LABEL_SHAPES = {"targets": _are_targets, "label_info": _are_names, "ts": _is_time}
