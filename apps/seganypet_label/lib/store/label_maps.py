"""Label maps on a study's grid: read by the bundle's checked reader, and one target put into what was saved before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from lib.store.bad_request import BadRequest
from seganypet.data.label_reading import LARGEST_LABEL, LabelError, LabelMap, overlap_order
from seganypet.data.label_reading import read_label_map as read_checked
from seganypet.pet import PetVolume


def read_label_map(path: Path, volume: PetVolume) -> LabelMap:
    """A label map that a client sent for a study, on the study's grid.

    Raises:
        BadRequest: not a readable label map, values that are no labels, or another grid.
    """
    try:
        return read_checked(path, volume)
    except LabelError as error:
        raise BadRequest(str(error).replace(str(path), "").replace("label  ", "the label ")) from None


def named_segments(label: LabelMap, info: Mapping[str, Any]) -> tuple[NDArray[np.int16], list[dict[str, Any]]]:
    """A label map with values as its `label_info` says, and that info; the file's own names count where it is silent.

    Slicer numbers its segments in the request, and may store them in layers under one value each: what has the same
    name gets the request's number, and a segment that the request does not name keeps its own name.

    Args:
        label: as read.
        info: of the request; its `label_info` is [{"name": ..., "idx": ...}].
    """
    said = info.get("label_info")
    listed = [dict(entry) for entry in said if isinstance(entry, Mapping)] if isinstance(said, list) else []
    if not label.names:
        return label.voxels, listed
    if not listed:
        return label.voxels, [{"name": name, "idx": value} for value, name in sorted(label.names.items())]
    wanted = {
        str(entry["name"]): int(entry.get("idx", place))
        for place, entry in enumerate(listed, start=1)
        if entry.get("name")
        and str(entry.get("idx", place)).isdecimal()
        and 1 <= int(entry.get("idx", place)) <= LARGEST_LABEL
    }
    own = [{"name": name, "idx": value} for value, name in sorted(label.names.items())]
    if not set(wanted) & set(label.names.values()):  # the request calls the values otherwise
        return label.voxels, listed
    if len(set(label.names.values())) < len(own) or len(set(wanted.values())) < len(wanted):
        return label.voxels, own  # of two alike nobody can say which is which
    voxels, taken = np.zeros_like(label.voxels), set(wanted.values())
    listed = [entry for entry in listed if entry.get("name") in wanted]
    for value, name in sorted(label.names.items()):
        index = wanted.get(name) or next(free for free in count(value) if free not in taken)
        if name not in wanted:
            listed.append({"name": name, "idx": index})
        taken.add(index)
        voxels[label.voxels == value] = index
    return voxels, listed


def put_target(
    mask: NDArray[np.bool_],
    name: str,
    before: NDArray[Any] | None,
    targets: Sequence[Mapping[str, Any]],
    drawn: Mapping[str, int],
) -> tuple[NDArray[np.int16], list[dict[str, Any]]]:
    """One target's mask put into a study's label map, beside the others.

    Where they overlap a lesion stays over an organ and the smaller over the larger, in whatever order they are saved.

    Args:
        mask: [i, j, k], the target's new extent, which replaces its former one.
        name: the target's.
        before: the label map so far, or None.
        targets: what its values mean, [{"name": ..., "idx": ...}], as `listed_targets` gives them.
        drawn: name → voxels that a target had when it was saved, those under others too, where that is known.

    Returns:
        The new label map and what its values mean.

    Raises:
        BadRequest: more targets than values.
        HTTPException: 409 where nothing would be left of a target.
    """
    info = [dict(entry) for entry in targets]
    labels = np.zeros(mask.shape, np.int16) if before is None else before.astype(np.int16)
    index = next((entry["idx"] for entry in info if entry["name"] == name), 0)
    if not index:
        index = int(labels.max(initial=0)) + 1
        if index > LARGEST_LABEL:
            raise BadRequest(f"a label map holds at most {LARGEST_LABEL} targets; {name!r} is one too many")
        info.append({"name": name, "idx": index})
    labels[labels == index] = 0
    free = mask
    place = (overlap_order(name, int(mask.sum())), name)
    over, under = [], []
    for entry in _met(labels[mask], targets):
        there = labels == entry["idx"]
        voxels = max(drawn.get(entry["name"], 0), int(there.sum()))
        if (overlap_order(entry["name"], voxels), entry["name"]) > place:
            free = free & ~there
            over.append(entry["name"])
        else:
            under.append(entry)
    labels[free] = index
    if mask.any() and not free.any():
        raise HTTPException(409, f"nothing of {name!r} would be left under {_listed(over)}; nothing was saved")
    gone = [entry["name"] for entry in under if not (labels == entry["idx"]).any()]
    if gone:
        raise HTTPException(
            409,
            f"{name!r} would leave nothing of {_listed(gone)}; nothing was saved. Delete what you no longer need "
            "first, on the reading page",
        )
    return labels, info


def take_target(
    name: str, before: NDArray[Any], targets: Sequence[Mapping[str, Any]]
) -> tuple[NDArray[np.int16], list[dict[str, Any]]]:
    """A label map without one of its targets, and what its values mean."""
    index = next((entry["idx"] for entry in targets if entry["name"] == name), 0)
    labels = before.astype(np.int16)
    labels[labels == index] = 0
    return labels, [dict(entry) for entry in targets if entry["name"] != name]


def _met(values: NDArray[np.int16], targets: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    met = set(np.unique(values).tolist())
    return [entry for entry in targets if entry["idx"] in met]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(repr(name) for name in names)


def narrow(labels: NDArray[np.int16]) -> NDArray[Any]:
    """The same in uint8 where its values fit, which every viewer opens."""
    return labels.astype(np.uint8) if labels.max(initial=0) <= np.iinfo(np.uint8).max else labels
