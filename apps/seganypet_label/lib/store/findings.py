"""The targets saved for a study, one by one: as they stand, as they were, changed without losing anybody's work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from lib.store.datastore import FINAL, StudyStore
from lib.store.kept_files import PRIVATE
from lib.store.kept_text import read_kept
from lib.store.label_maps import read_label_map
from lib.store.mask_files import mask_bits, mask_digest
from lib.store.merged_label import CAME_FROM
from lib.store.owned_keys import sound_label_info
from lib.store.saved_targets import saved_by
from seganypet.clicks.voxel_set import smallest_box
from seganypet.data.label_reading import LabelError
from seganypet.data.label_reading import read_label_map as read_checked
from seganypet.pet import PetVolume

MOST_REPLACED = 40  # label maps looked through for deleted targets, the newest ones
STAMP = 25  # characters of the time before a kept file's name


@dataclass(frozen=True)
class SavedTarget:
    """A target of a final label.

    Args:
        about: what is said of it: name, measures, clicks, weights, quality, tracking UID.
        mask: bool [i, j, k].
        by: who saved it, "" where nobody said so.
        at: when, in seconds since 1970.
    """

    about: dict[str, Any]
    mask: NDArray[np.bool_]
    by: str
    at: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with the mask's bits and the digest that a save of it has to name."""
        bits = mask_bits(self.mask, smallest_box(self.mask))
        return {**self.about, "mask": bits, "digest": mask_digest(self.mask), "by": self.by, "at": self.at}


def saved_targets(store: StudyStore, study_id: str, volume: PetVolume) -> list[SavedTarget]:
    """What stands in a study's final label.

    Raises:
        BadRequest: it does not lie on the study's grid any more.
    """
    info = store.measured_info(study_id, FINAL, volume)
    file = store.get_label_uri(study_id, FINAL)
    if not info or not file:
        return []
    voxels = read_label_map(Path(file), volume).voxels
    return [
        SavedTarget(dict(entry), voxels == entry["idx"], *saved_by(entry, info)) for entry in info.get("targets", [])
    ]


def removed_targets(store: StudyStore, study_id: str) -> list[dict[str, Any]]:
    """Targets that stood in a final label and do not now: name, who saved it and when, and the file that holds it."""
    targets = store.get_label_info(study_id, FINAL).get("targets", [])
    present = {entry[key] for entry in targets for key in ("name", "tracking_uid") if key in entry}
    found: dict[str, dict[str, Any]] = {}
    for said in _kept_infos(store, study_id)[:MOST_REPLACED]:
        try:
            info = sound_label_info(read_kept(said))
        except (OSError, ValueError):
            continue
        for entry in info.get("targets", []):
            name = entry.get("name")
            renamed = entry.get("tracking_uid") in present
            if name not in present and name not in found and not renamed:
                by, at = saved_by(entry, info)
                found[name] = {"name": name, "at": at, "by": by, "file": said.name}
    return list(found.values())


def bring_back(store: StudyStore, study_id: str, name: str, file: str, said: dict[str, Any]) -> list[dict[str, str]]:
    """Save a target again as it stood in a label map that was replaced.

    Args:
        file: as `removed_targets` gave it.
        said: who asks, and from where.

    Returns:
        What that changed, as `StudyStore.save_target` says it.

    Raises:
        HTTPException: 404 for a target that is not there; and as `StudyStore.save_target`.
    """
    kept = next((one for one in _kept_infos(store, study_id) if one.name == file), None)
    try:
        info = sound_label_info(read_kept(kept)) if kept else {}
        entry = next((one for one in info.get("targets", []) if one.get("name") == name), None)
        if kept is None or entry is None:
            raise HTTPException(404, f"there is no deleted {name!r} of study {study_id!r}")
        volume = store.volume(study_id)
        # the JSON and the map are kept one after the other: its map is the newest that is not newer
        maps = sorted(_kept(kept.parent, f"{study_id}.nii.gz"), key=lambda one: one.name)
        older = [one for one in maps if one.name[:STAMP] <= kept.name[:STAMP]]
        voxels = read_checked(older[-1], volume).voxels if older else None
    except (OSError, ValueError, LabelError) as error:
        raise HTTPException(404, f"the deleted {name!r} of study {study_id!r} cannot be read: {error}") from None
    if voxels is None:
        raise HTTPException(404, f"the deleted {name!r} of study {study_id!r} has no mask any more")
    quality = {"quality": entry["quality"]} if entry.get("quality") else {}
    came_from = {key: entry[key] for key in CAME_FROM if key in entry}
    as_it_was = {**said, **quality, "came_from": came_from, "label": name, "replaces": ""}
    return store.save_target(study_id, FINAL, voxels == entry["idx"], as_it_was)


def _kept_infos(store: StudyStore, study_id: str) -> list[Path]:
    """What was said of replaced and removed final labels, the newest first."""
    folders = [store.root / PRIVATE / why / "labels" / FINAL for why in ("replaced", "removed")]
    found = [file for folder in folders for file in _kept(folder, f"{study_id}.json")]
    return sorted(found, key=lambda file: file.name, reverse=True)


def _kept(folder: Path, name: str) -> list[Path]:
    """Files that were put aside under a name, with the time before it."""
    return [file for file in folder.glob(f"*{Path(name).suffix}") if file.name[STAMP:] == f"_{name}"]
