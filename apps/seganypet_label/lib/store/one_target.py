"""One target put into a label or taken out: over what its reader saw alone, and once, however often it is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from lib.store.bad_request import BadRequest
from lib.store.label_maps import put_target, take_target
from lib.store.mask_files import mask_digest
from lib.store.saved_targets import changed_targets, check_replaced, listed_targets


@dataclass(frozen=True)
class Placed:
    """A label map after one target was put into it or taken out.

    Args:
        voxels: [i, j, k].
        label_info: what its values mean.
        changed: what the save changed, as `changed_targets` says it.
        known: what was said of the label before, with the target's new name where it has another.
    """

    voxels: NDArray[np.int16]
    label_info: list[dict[str, Any]]
    changed: list[dict[str, str]]
    known: Mapping[str, Any]


def place_target(
    mask: NDArray[np.bool_],
    asked: Mapping[str, Any],
    before: NDArray[Any] | None,
    known: Mapping[str, Any],
    quality: str,
) -> Placed | list[dict[str, str]]:
    """The label map that a save or a removal of one target makes.

    Args:
        mask: bool [i, j, k]; what it holds does not count where the target is `removed`.
        asked: the target's `label`; whether it is `removed`; the digest of the mask that it `replaces`, "" for none;
            what it `renames`, {"name": ..., "digest": ...} of another target; what it `came_from`.
        before: the label map that is there, None where there is none.
        known: what is said of it.
        quality: of what is saved.

    Returns:
        Where nothing is to be done, since the target is gone already or stands there as it is asked for, what the save
        that made it so changed, as `changed_targets` says it.

    Raises:
        BadRequest: `renames` is no such object.
        HTTPException: 409 where what is replaced or renamed is not what its reader saw, or nothing would be left of a
            target; and as `put_target`.
    """
    name = str(asked["label"])
    renames = _checked_renames(asked.get("renames"), name)
    listed = [] if before is None else listed_targets(before, known)
    if asked.get("removed"):
        if before is None or not any(entry["name"] == name for entry in listed):
            return []
        if "replaces" in asked:
            check_replaced(name, str(asked["replaces"]), before, known)
        return Placed(*take_target(name, before, listed), [], known)
    try:
        if renames:
            check_replaced(name, "", before, known)
            check_replaced(renames["name"], renames["digest"], before, known)
        elif "replaces" in asked:
            check_replaced(name, str(asked["replaces"]), before, known)
    except HTTPException:
        gone = not any(entry["name"] == renames["name"] for entry in listed) if renames else True
        if before is not None and gone and _stands(mask, asked, before, known, quality):
            return _changed_then(name, before, known)
        raise
    if renames:
        known = {**known, "targets": _renamed(known["targets"], renames["name"], name)}
        listed = _renamed(listed, renames["name"], name)
    voxels, label_info = put_target(mask, name, before, listed, _drawn(known))
    return Placed(voxels, label_info, changed_targets(name, before, voxels, label_info), known)


def _checked_renames(sent: Any, name: str) -> dict[str, str] | None:
    if not sent:
        return None
    said = [sent.get(key) for key in ("name", "digest")] if isinstance(sent, Mapping) else []
    if not said or not all(isinstance(value, str) and value for value in said) or said[0] == name:
        raise BadRequest(f"renames must be the name and the digest of another target, got {_as_json(sent)[:200]}")
    return {"name": str(said[0]), "digest": str(said[1])}


def _stands(
    mask: NDArray[np.bool_], asked: Mapping[str, Any], before: NDArray[Any], known: Mapping[str, Any], quality: str
) -> bool:
    """Whether a target is there as it is asked for: its save was done, and its answer lost."""
    there = next((entry for entry in known.get("targets", []) if entry["name"] == asked["label"]), None)
    if there is None:
        return False
    wanted = {"quality": quality, **(asked.get("came_from") or {})}
    if any(_as_json(there.get(key)) != _as_json(value) for key, value in wanted.items()):
        return False
    try:
        voxels, _ = put_target(mask, there["name"], before, listed_targets(before, known), _drawn(known))
    except HTTPException:
        return False
    return np.array_equal(voxels, before)


def _changed_then(name: str, before: NDArray[Any], known: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the last save of a target changed; of itself, what it is by now."""
    there = next(entry for entry in known["targets"] if entry["name"] == name)
    own = {"name": name, "before": "", "after": mask_digest(before == there["idx"])}
    others = [one for one in there.get("changed", []) if one["name"] != name]
    return [*others, own]


def _drawn(known: Mapping[str, Any]) -> dict[str, int]:
    return {entry["name"]: int(entry.get("drawn_voxels") or 0) for entry in known.get("targets", [])}


def _renamed(targets: list[dict[str, Any]], name: str, new_name: str) -> list[dict[str, Any]]:
    return [{**entry, "name": new_name} if entry["name"] == name else entry for entry in targets]


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
