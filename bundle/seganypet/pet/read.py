"""`read_pet`: whatever a PET is stored as, one volume."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from seganypet.pet.axes import itk_affine
from seganypet.pet.dicom_series import read_series
from seganypet.pet.errors import PetReadError
from seganypet.pet.nifti import read_nifti, with_units
from seganypet.pet.series_listing import PetSeries, file_header, files_under, group_series
from seganypet.pet.suffixes import ITK_SUFFIXES, NIFTI_SUFFIXES
from seganypet.pet.volume import PetVolume

logger = logging.getLogger(__name__)


def read_pet(path: str | Path, *, series_uid: str | None = None, units: str | None = None) -> PetVolume:
    """One static PET volume, as SUV where the file says enough for it.

    Args:
        path: a folder with DICOM files (nested folders included), one DICOM file of a series, or a .nii, .nii.gz,
            .nrrd or .mha file.
        series_uid: SeriesInstanceUID, where a folder holds several PET series.
        units: "SUVbw", "BQML" or "kBq/mL", for files that are not DICOM and hold no SUV by themselves.

    Returns:
        The volume. Where SUV is unavailable its voxels are in stored units, and `.suv` raises with the reason.

    Raises:
        FileNotFoundError: no such path.
        PetReadError: not one static, attenuation-corrected PET volume; names the file or tag, or lists the series.
        ValueError: `units` for a DICOM series, `series_uid` for another file, NaN or infinite voxels.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    name = path.name.lower()
    if path.is_file() and name.endswith((*NIFTI_SUFFIXES, *ITK_SUFFIXES)):
        if series_uid is not None:
            raise ValueError(f"series_uid is for DICOM, {path} is none")
        return read_nifti(path, units=units) if name.endswith(NIFTI_SUFFIXES) else _read_itk(path, units)
    if units is not None:
        raise ValueError(f"units is for files without DICOM tags; {path} says its own in Units (0054,1001)")
    series = _series_of_folder(path, series_uid) if path.is_dir() else _series_of_file(path, series_uid)
    return read_series(series.files, series.uid)


def _series_of_folder(folder: Path, series_uid: str | None) -> PetSeries:
    found, broken = group_series(files_under(folder))
    if not found:
        raise next(iter(broken.values()), PetReadError(_nothing_in(folder)))
    chosen = _chosen(found, series_uid, folder)
    _check_whole(chosen, broken)
    for other in found:
        if other is not chosen:
            logger.info("left aside: %s", other)
    return chosen


def _nothing_in(folder: Path) -> str:
    archives = [file.name for file in files_under(folder) if is_archive(file)]
    if archives:
        return f"no DICOM images in {folder}, but {', '.join(archives[:3])}: an archive, unpack it first"
    return f"no DICOM images in {folder}; for NIfTI give the file itself"


def is_archive(path: Path) -> bool:
    """Whether a file is a ZIP, gzip or tar archive by its first bytes."""
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        return False
    with open(path, "rb") as file:
        start = file.read(262)
    return start.startswith((b"PK\x03\x04", b"\x1f\x8b")) or start[257:262] == b"ustar"


def _chosen(found: list[PetSeries], series_uid: str | None, folder: Path) -> PetSeries:
    listing = "\n".join(f"  {series}" for series in found)
    if series_uid is not None:
        named = [series for series in found if series.uid == series_uid]
        if not named:
            raise PetReadError(f"no series {series_uid} in {folder}; there are:\n{listing}")
        if named[0].problem is not None:
            raise PetReadError(f"series {series_uid} in {folder}: {named[0].problem}")
        return named[0]
    readable = [series for series in found if series.problem is None]
    if not readable:
        raise PetReadError(f"no static, attenuation-corrected PET series in {folder}; there are:\n{listing}")
    if len(readable) > 1:
        raise PetReadError(f"several PET series in {folder}; say which by series_uid:\n{listing}")
    return readable[0]


def _check_whole(series: PetSeries, broken: dict[Path, PetReadError]) -> None:
    """Raises where a broken file lies among the slices of the series: it may be one of them."""
    folders = {file.parent for file in series.files}
    for path, error in broken.items():
        if path.parent in folders:
            raise error


def _series_of_file(path: Path, series_uid: str | None) -> PetSeries:
    """The series that one DICOM file belongs to, from its folder."""
    header = file_header(path)
    if header is None and is_archive(path):
        raise PetReadError(f"{path} is an archive: unpack it first")
    if header is None:
        raise PetReadError(f"{path} is neither a DICOM image nor a {', '.join((*NIFTI_SUFFIXES, *ITK_SUFFIXES))} file")
    if series_uid not in (None, header.series_uid):
        raise PetReadError(f"{path} belongs to series {header.series_uid}, not to {series_uid}")
    siblings, broken = group_series(sorted(file for file in path.parent.iterdir() if file.is_file()))
    (series,) = [series for series in siblings if series.uid == header.series_uid]
    if series.problem is not None:
        raise PetReadError(f"{path}: {series.problem}")
    _check_whole(series, broken)
    return series


def _read_itk(path: Path, units: str | None) -> PetVolume:
    """NRRD and MetaImage by SimpleITK, whose LPS geometry becomes RAS."""
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise PetReadError(f"{path} cannot be read: {error}") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise PetReadError(f"{path} has shape {image.GetSize()}: one static 3-D volume is needed")
    voxels = sitk.GetArrayFromImage(image).transpose(2, 1, 0).astype(np.float32, copy=False)
    return with_units(voxels, itk_affine(image), path, units)
