"""What is said of each target of a saved label map: its name, its value, its UID, its uptake, and who saved it when."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from lib.store.mask_files import mask_digest
from seganypet.pet import PetVolume, measure_uptake


def names_of_values(labels: NDArray[Any], info: Mapping[str, Any]) -> dict[int, str]:
    """Value → name of every target that a label map holds.

    Args:
        labels: [i, j, k], 0 where nothing is labelled.
        info: its `label_info` is [{"name": ..., "idx": ...}], as Slicer and this app say it; without `idx` the
            first is 1. A value without a name is called after itself.
    """
    said = info.get("label_info")
    names: dict[int, str] = {}
    for position, entry in enumerate(said if isinstance(said, list) else [], start=1):
        if isinstance(entry, Mapping) and entry.get("name"):
            index = str(entry.get("idx", position))
            names[int(index) if index.isdecimal() else position] = str(entry["name"])
    chosen: dict[int, str] = {}
    for value in (int(one) for one in np.unique(labels) if one > 0):
        name = names.get(value, f"label {value}")
        chosen[value] = name if name not in chosen.values() else f"{name} ({value})"
    return chosen


def saved_by(entry: Mapping[str, Any], info: Mapping[str, Any]) -> tuple[str, float]:
    """Who saved a target, "" where nobody said so, and when, in seconds since 1970.

    Args:
        entry: what is said of the target. Labels of the first versions name nobody there: whoever saved their label
            map last stands for its targets.
        info: what is said of its label map.
    """
    if "by" in entry and "at" in entry:
        return str(entry["by"]), float(entry["at"])
    return str(info.get("reader") or info.get("client_id") or ""), float(info.get("ts", 0))


def listed_targets(labels: NDArray[Any], info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Name and value of every target that a kept label map holds, as entries of its `label_info`.

    Args:
        labels: [i, j, k], 0 where nothing is labelled.
        info: what is said of it; the names of its `targets` are those that readers were shown.
    """
    shown = {int(entry["idx"]): str(entry["name"]) for entry in info.get("targets") or [] if "idx" in entry}
    said = info.get("label_info")
    listed = [entry for entry in (said if isinstance(said, list) else []) if isinstance(entry, Mapping)]
    entries = {str(entry.get("idx")): entry for entry in listed}
    return [
        {**entries.get(str(value), {}), "name": shown.get(value, name), "idx": value}
        for value, name in names_of_values(labels, info).items()
    ]


def changed_targets(
    name: str, before: NDArray[Any] | None, after: NDArray[Any], targets: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """What the save of a target changed: that target, and those that gave voxels to it.

    Args:
        name: the target's.
        before: the label map that was there, None where there was none.
        after: the label map with it.
        targets: names and values of both.

    Returns:
        Of each its `name` and the digests of its mask `before` and `after`, "" for none.
    """
    was = np.zeros_like(after) if before is None else before
    touched = set(np.unique(was[was != after]).tolist())
    return [
        {"name": entry["name"], "before": _digest(was == entry["idx"]), "after": _digest(after == entry["idx"])}
        for entry in targets
        if entry["name"] == name or entry["idx"] in touched
    ]


def check_replaced(name: str, digest: str, labels: NDArray[Any] | None, info: Mapping[str, Any]) -> None:
    """Refuse to replace a target that is not the one its reader saw.

    Args:
        name: the target's.
        digest: of the mask that is to be replaced, "" where there was none.
        labels: the label map that is there, None where there is none.
        info: what is said of it.

    Raises:
        HTTPException: 409; the message says who saved the target that is there, and when.
    """
    there = next((entry for entry in info.get("targets", []) if entry["name"] == name), None)
    found = "" if there is None or labels is None else _digest(labels == there["idx"])
    if found == digest:
        return
    if not found:
        raise HTTPException(409, f"{name!r} was deleted by somebody else; save yours again to keep it")
    made = {"name": name, "after": found}
    saved = (entry for entry in info["targets"] if any(made.items() <= one.items() for one in entry.get("changed", [])))
    told = _who_and_when(next(saved, there or {}), info)
    raise HTTPException(409, f"{name!r} was saved by {told} in another form than you saw; nothing was changed")


def check_listed(name: str, listed: Mapping[str, Any], info: Mapping[str, Any]) -> None:
    """Refuse to replace a target that its reader's page did not list.

    Args:
        name: the target's.
        listed: name → when it was saved, of those that the page listed.
        info: what is said of the label map that is there.

    Raises:
        HTTPException: 409; the message says who saved the target that is there, and when.
    """
    there = next((entry for entry in info.get("targets", []) if entry["name"] == name), None)
    if there is not None and listed.get(name) != saved_by(there, info)[1]:
        told = _who_and_when(there, info)
        raise HTTPException(409, f"{name!r} was saved by {told}, which the page did not show: look and save again")


def _who_and_when(entry: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    by, seconds = saved_by(entry, info)
    return f"{by or 'somebody'} at {time.strftime('%Y-%m-%d %H:%M', time.localtime(seconds))}"


def _digest(mask: NDArray[np.bool_]) -> str:
    return mask_digest(mask) if mask.any() else ""


def describe_targets(
    labels: NDArray[Any], info: Mapping[str, Any], before: Mapping[str, Any], volume: PetVolume
) -> dict[str, Any]:
    """Entries for the JSON beside a label map.

    Args:
        labels: [i, j, k] on the volume's grid.
        info: what was said of it; targets taken in from elsewhere bring their tracking UIDs.
        before: what stood beside the label map that this one replaces; a target keeps its tracking UID.

    Returns:
        `targets`, each with name, idx, tracking_uid and the measures of `measure_uptake`; `suv_provenance`;
        `measured_on`, the volume's content hash.
    """
    said = [*(info.get("targets") or []), *(before.get("targets") or [])]
    known = {entry["name"]: entry["tracking_uid"] for entry in said if "tracking_uid" in entry}
    targets = [
        {
            "name": name,
            "idx": value,
            "tracking_uid": known.get(name) or str(generate_uid()),
            **finite(measure_uptake(volume, labels == value).to_dict()),
        }
        for value, name in names_of_values(labels, info).items()
    ]
    provenance = volume.suv_provenance
    return {
        "targets": targets,
        "suv_provenance": provenance.to_dict() if provenance is not None else None,
        "measured_on": volume.content_hash,
    }


def finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows neither NaN nor infinity: they become None."""
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in values.items()
    }
