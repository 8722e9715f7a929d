"""What a save makes of the label that is kept: the map, and what is said of it and of its targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.store.label_maps import named_segments
from lib.store.label_quality import give_quality
from lib.store.one_target import place_target
from lib.store.saved_targets import describe_targets, saved_by
from seganypet.data.label_reading import LabelMap
from seganypet.pet import PetVolume

CAME_FROM = ("clicks", "weights", "edited", "colour")  # of a target
ASKED_OF_A_TARGET = ("replaces", "renames", "removed", "came_from")  # not kept beside a label
SAID_OF_A_TARGET = (*CAME_FROM, "by", "at", "drawn_voxels", "changed")


def merged_label(
    label: LabelMap,
    said: dict[str, Any],
    old: NDArray[np.int16] | None,
    known: Mapping[str, Any],
    volume: PetVolume,
    quality: str,
    came_from: Callable[[str, NDArray[np.bool_]], dict[str, Any]],
) -> tuple[NDArray[np.int16], dict[str, Any]] | list[dict[str, str]]:
    """The label map to be kept and what is said of it.

    Args:
        label: that is saved: one target where `said` names its `label`, else all of them.
        said: of it, with what is asked of a target.
        old: [i, j, k] the map that is kept; only looked at for one target, None where there is none.
        known: what is said of that map.
        volume: the study.
        quality: of what is saved.
        came_from: target and bool [i, j, k] → `CAME_FROM` of that mask, as far as it is known.

    Returns:
        The map [i, j, k] and its info; or what was changed before, where nothing is to be done.

    Raises:
        BadRequest, HTTPException: as `place_target`.
    """
    info = {key: value for key, value in said.items() if key not in ASKED_OF_A_TARGET}
    mask, changed = label.voxels > 0, {}
    if info.get("label"):
        placed = place_target(mask, said, old, known, quality)
        if isinstance(placed, list):
            return placed
        labelled, info["label_info"], known = placed.voxels, placed.label_info, placed.known
        changed = {"changed": placed.changed}
    else:
        labelled, info["label_info"] = named_segments(label, said)
    info |= describe_targets(labelled, info, known, volume)
    give_quality(info, quality, known)
    was = {entry["name"]: entry for entry in known.get("targets", [])}
    by, at = saved_by({}, info)
    for entry in info["targets"]:
        name = entry["name"]
        if info.get("label") in (None, "", name) or name not in was:
            saved = mask if info.get("label") == name else labelled == entry["idx"]
            entry |= said.get("came_from") or came_from(name, saved)
            mine = changed if info.get("label") == name else {}
            entry |= {"by": by, "at": at, "drawn_voxels": int(saved.sum()), **mine}
        else:  # another target was saved: what is said of this one stays
            entry |= {key: was[name][key] for key in SAID_OF_A_TARGET if key in was[name]}
    return labelled, info
