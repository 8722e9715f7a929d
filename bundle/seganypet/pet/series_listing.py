"""Which DICOM series a folder holds, from headers alone, and which of them can be read as a static PET volume."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydicom._uid_dict import UID_dictionary

from seganypet.pet.dicom_file import has_preamble, read_dicom
from seganypet.pet.errors import PetReadError
from seganypet.pet.headers import Header, header_text, named, values_of

logger = logging.getLogger(__name__)

PET_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.128"
_ENHANCED_PET = {"1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1"}
_DICOMDIR = "1.2.840.10008.1.3.10"
_FIELDS = [
    "SOPClassUID",
    "Modality",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "SeriesDescription",
    "SeriesDate",
    "PatientName",
    "PatientID",
    "FrameOfReferenceUID",
    "ImageType",
    "SeriesType",
    "CorrectedImage",
    "NumberOfFrames",
]
KIND = ("Modality", "SOPClassUID", "NumberOfFrames", "ImageType", "SeriesType", "CorrectedImage")  # of a series


@dataclass(frozen=True)
class PetSeries:
    """One DICOM series as its headers describe it.

    Args:
        uid: SeriesInstanceUID.
        files: in the order of the folder; not yet sorted by position.
        modality: "PT", "CT", ...
        description: SeriesDescription, empty where there is none.
        study_uid: StudyInstanceUID.
        patient: PatientName as written.
        patient_id: PatientID.
        date: SeriesDate as written, YYYYMMDD.
        frame_uid: FrameOfReferenceUID.
        problem: why it cannot be read as one static, attenuation-corrected PET volume; None where it can.
    """

    uid: str
    files: tuple[Path, ...]
    modality: str
    description: str = ""
    study_uid: str = ""
    patient: str = ""
    patient_id: str = ""
    date: str = ""
    frame_uid: str = ""
    problem: str | None = None

    @property
    def folder(self) -> Path:
        """The deepest folder that holds all files."""
        return Path(os.path.commonpath([file.parent for file in self.files]))

    def __str__(self) -> str:
        note = "" if self.problem is None else f", not readable: {self.problem}"
        return f"{self.uid}  {self.description!r}, {self.modality}, {len(self.files)} slices{note}"


def find_pet_series(folder: str | Path) -> list[PetSeries]:
    """The PET series under a folder that `read_pet` can read, by description and UID.

    Headers only; a file that has not changed since is not opened again. Broken files are logged and passed over.

    Raises:
        FileNotFoundError: no such folder.
    """
    return [series for series in find_series(folder) if series.problem is None]


def find_series(folder: str | Path) -> list[PetSeries]:
    """Every DICOM series under a folder, nested folders included; other and broken files are logged, not read.

    Raises:
        FileNotFoundError: no such folder.
    """
    series, broken = group_series(files_under(folder))
    for error in broken.values():
        logger.warning("passed over: %s", error)
    return series


def group_series(files: Iterable[Path]) -> tuple[list[PetSeries], dict[Path, PetReadError]]:
    """The series that these files make up, and the DICOM files among them whose header is broken."""
    members: dict[str, list[tuple[Path, _FileHeader]]] = {}
    strays, broken = [], {}
    for file in files:
        try:
            header = file_header(file)
        except PetReadError as error:
            broken[file] = error
            continue
        if header is None:
            strays.append(file.name)
        else:
            members.setdefault(header.series_uid, []).append((file, header))
    if strays:
        logger.info("not DICOM images, passed over: %s%s", ", ".join(strays[:10]), " …" if len(strays) > 10 else "")
    found = []
    for uid, entries in members.items():
        first = entries[0][1]
        found.append(
            PetSeries(
                uid=uid,
                files=tuple(path for path, _ in entries),
                modality=first.modality,
                description=first.description,
                study_uid=first.study_uid,
                patient=first.patient,
                patient_id=first.patient_id,
                date=first.date,
                frame_uid=first.frame_uid,
                problem=_problem_of_series(entries),
            )
        )
    return sorted(found, key=lambda series: (series.description, series.uid)), broken


def _problem_of_series(entries: list[tuple[Path, _FileHeader]]) -> str | None:
    problems = [(path, header.problem) for path, header in entries if header.problem is not None]
    if not problems:
        return None
    path, problem = problems[0]
    return problem if len(problems) == len(entries) else f"{problem} (in {path.name})"


def files_under(folder: str | Path) -> Iterator[Path]:
    """All files of a folder and the folders in it, but for hidden ones, in the order of their names.

    Links to folders are followed, but no folder is walked twice.

    Raises:
        FileNotFoundError: no such folder.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"no such folder: {folder}")
    walked = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        place = os.path.realpath(parent)
        if place in walked:
            folders.clear()
            continue
        walked.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))


@dataclass(frozen=True)
class _FileHeader:
    series_uid: str
    modality: str
    description: str
    study_uid: str
    patient: str
    patient_id: str
    date: str
    frame_uid: str
    problem: str | None


def file_header(path: Path) -> _FileHeader | None:
    """What one file says of its series; None for a file that is no DICOM image (a DICOMDIR, a text, an archive).

    Raises:
        PetReadError: a DICOM file whose header breaks off.
    """
    status = path.stat()
    return _read_header(str(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=65536)
def _read_header(path: str, _mtime_ns: int, size: int) -> _FileHeader | None:
    preamble = has_preamble(path)
    if preamble is None:
        if size < 132 and path.lower().endswith(".dcm"):
            raise PetReadError(f"{path} is truncated: {size} bytes")
        return None
    try:
        header = read_dicom(path, pixels=False, only=_FIELDS)
    except PetReadError:
        if preamble:
            raise
        return None
    texts = {keyword: header_text(header, keyword) or "" for keyword in _FIELDS}
    texts["SOPClassUID"] = texts["SOPClassUID"] or str(header.file_meta.get("MediaStorageSOPClassUID", ""))
    if texts["SOPClassUID"] == _DICOMDIR:
        return None
    if not texts["Modality"] or not texts["SeriesInstanceUID"]:
        missing = "Modality" if not texts["Modality"] else "SeriesInstanceUID"
        if not preamble:
            return None
        raise PetReadError(f"{path} has no {named(missing)}: the file is truncated, or no image")
    return _FileHeader(
        texts["SeriesInstanceUID"],
        texts["Modality"],
        texts["SeriesDescription"],
        texts["StudyInstanceUID"],
        texts["PatientName"],
        texts["PatientID"],
        texts["SeriesDate"],
        texts["FrameOfReferenceUID"],
        pet_problem(texts),
    )


def pet_problem(header: Header) -> str | None:
    """Why a header is of no slice of a static, attenuation-corrected PET; None where it is.

    Args:
        header: with the fields of `KIND` that are known.
    """
    texts = {keyword: header_text(header, keyword) or "" for keyword in KIND}
    sop_class = texts["SOPClassUID"]
    if texts["Modality"] not in ("PT", ""):
        return f"{named('Modality')} is {texts['Modality']}, not PT"
    if sop_class in _ENHANCED_PET:
        return f"{named('SOPClassUID')} is {_uid_name(sop_class)}: multi-frame, convert it to single frames"
    if sop_class not in (PET_IMAGE_STORAGE, ""):
        return f"{named('SOPClassUID')} is {_uid_name(sop_class)}, no PET image"
    if texts["NumberOfFrames"] not in ("", "1"):
        return f"{named('NumberOfFrames')} is {texts['NumberOfFrames']}, one frame a file is read"
    image_type = texts["ImageType"].upper()
    if any(word in image_type for word in ("MIP", "PROJECTION", "SCREEN SAVE")):
        return f"{named('ImageType')} is {texts['ImageType']}, no slice of a volume"
    series_type = [value.replace(" ", "").replace("_", "") for value in values_of(texts["SeriesType"])] or [""]
    if series_type[0] not in ("", "STATIC", "WHOLEBODY") or series_type[-1] == "REPROJECTION":
        return f"{named('SeriesType')} is {texts['SeriesType']}, not STATIC or WHOLE BODY images"
    if texts["CorrectedImage"] and "ATTN" not in values_of(texts["CorrectedImage"]):
        return f"{named('CorrectedImage')} is {texts['CorrectedImage']}, without ATTN: not attenuation-corrected"
    return None


def _uid_name(uid: str) -> str:
    return UID_dictionary[uid][0] if uid in UID_dictionary else uid
