"""DICOM PET series lying in folders, as studies with an id a person can read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from lib.store.names import is_study_id
from seganypet.pet import PetSeries
from seganypet.pet.series_listing import files_under, group_series

logger = logging.getLogger(__name__)

NOT_DICOM = (".nii", ".gz", ".nrrd", ".json", ".lock", ".zip", ".png", ".jpg")
UID_DIGITS = 12  # enough of a UID's end to tell a folder's series apart


@dataclass(frozen=True)
class SeriesFolder:
    """One PET series.

    Args:
        study_id: its folder's path under the studies folder with "_" between the parts, and the end of the series' UID
            where several PET series lie there.
        folder: deepest folder that holds its files, relative to the studies folder; "." for the studies folder itself.
        series_uid: SeriesInstanceUID.
        about: patient, date and description, for people.
    """

    study_id: str
    folder: str
    series_uid: str
    about: Mapping[str, str] = field(default_factory=dict)


def find_series_folders(
    root: Path, skip: tuple[str, ...] = (), known: Mapping[str, str] = MappingProxyType({})
) -> list[SeriesFolder]:
    """The PET series under a folder that can be read, sorted by folder and UID.

    Headers only; a file that has not changed is not opened again. What cannot be read is logged with the reason; a
    series with a broken file is listed, so that whoever clicks in it is told which one.

    Args:
        root: the studies folder.
        skip: names of folders directly under it that hold no studies.
        known: study id → series UID of what was listed before; a series keeps its id when others join its folder.
    """
    ids = {uid: study_id for study_id, uid in known.items()}
    found: dict[str, SeriesFolder] = {}
    for files in _groups(root, skip):
        series = sorted(_readable(files), key=lambda one: (one.folder, one.uid))
        for one in series:
            folder = one.folder.relative_to(root).as_posix()
            name = _as_id(root.name if folder == "." else folder)
            alone = name not in found and sum(other.folder == one.folder for other in series) == 1
            by_uid = f"{name}_{_as_id(one.uid[-UID_DIGITS:].lstrip('.'))}"
            taken = name in known and known[name] != one.uid and any(other.uid == known[name] for other in series)
            study_id = ids.get(one.uid) or (name if alone and not taken else by_uid)
            if study_id not in (name, by_uid):
                study_id = name if alone and not taken else by_uid  # it moved to another folder
            if study_id in found:
                logger.warning("PET series %s in %s is not listed: it is there twice", one.uid, one.folder)
            else:
                found[study_id] = SeriesFolder(study_id, folder, one.uid, _about(one))
    return list(found.values())


def _groups(root: Path, skip: tuple[str, ...]) -> Iterator[list[Path]]:
    """Files that could be DICOM: those directly in the root, then those under each of its folders."""
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    yield _could_be_dicom(entry for entry in entries if entry.is_file())
    for entry in entries:
        if entry.is_dir() and entry.name not in skip:
            yield _could_be_dicom(files_under(entry))


def _could_be_dicom(files: Iterable[Path]) -> list[Path]:
    return [file for file in files if not file.name.lower().endswith(NOT_DICOM)]


def _readable(files: list[Path]) -> list[PetSeries]:
    series, broken = group_series(files)
    for error in broken.values():
        logger.warning("%s", error)
    for one in series:
        if one.problem is not None:
            logger.info("not listed: %s in %s", one, one.folder)
    return [one for one in series if one.problem is None]


def _about(series: PetSeries) -> dict[str, str]:
    return {
        "patient": series.patient,
        "patient_id": series.patient_id,
        "date": series.date,
        "description": series.description,
        "study_uid": series.study_uid,
    }


def _as_id(text: str) -> str:
    """A text as a study id: what cannot stand in one becomes "_"."""
    name = "".join(letter if is_study_id(f"x{letter}") else "_" for letter in text[-100:])
    name = name.replace("..", "__")
    return name if is_study_id(name) else f"x{name}"
