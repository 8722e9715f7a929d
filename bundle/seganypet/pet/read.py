"""`read_pet`: whatever a PET is stored as, one volume."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from seganypet.pet.dicom_files import PetSeries, file_header, find_series, group_series
from seganypet.pet.dicom_series import read_series
from seganypet.pet.errors import PetReadError
from seganypet.pet.nifti import NIFTI_SUFFIXES, read_nifti, with_units
from seganypet.pet.volume import PetVolume

logger = logging.getLogger(__name__)

ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")


def read_pet(path: str | Path, *, series_uid: str | None = None, units: str | None = None) -> PetVolume:
    """One static PET volume, as SUV where the file says enough for it.

    Args:
        path: a folder with DICOM files (nested folders included), one DICOM file of a series, or a .nii, .nii.gz,
            .nrrd or .mha file.
        series_uid: SeriesInstanceUID, where a folder holds several PET series.
        units: "SUVbw" or "BQML", for files that are not DICOM and hold no SUV by themselves.

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
    found = find_series(folder)
    if not found:
        raise PetReadError(f"no DICOM images in {folder}; for NIfTI give the file itself")
    if series_uid is not None:
        chosen = [series for series in found if series.uid == series_uid]
        if not chosen:
            raise PetReadError(f"no series {series_uid} in {folder}; there are:\n{_listing(found)}")
        if chosen[0].problem is not None:
            raise PetReadError(f"series {series_uid} in {folder}: {chosen[0].problem}")
        return chosen[0]
    readable = [series for series in found if series.problem is None]
    if not readable:
        raise PetReadError(f"no static, attenuation-corrected PET series in {folder}; there are:\n{_listing(found)}")
    if len(readable) > 1:
        raise PetReadError(f"several PET series in {folder}; say which by series_uid:\n{_listing(found)}")
    for other in found:
        if other is not readable[0]:
            logger.info("left aside: %s", other)
    return readable[0]


def _series_of_file(path: Path, series_uid: str | None) -> PetSeries:
    """The series that one DICOM file belongs to, from its folder."""
    header = file_header(path)
    if header is None:
        raise PetReadError(f"{path} is neither a DICOM image nor a {', '.join((*NIFTI_SUFFIXES, *ITK_SUFFIXES))} file")
    if series_uid not in (None, header.series_uid):
        raise PetReadError(f"{path} belongs to series {header.series_uid}, not to {series_uid}")
    siblings = group_series(sorted(file for file in path.parent.iterdir() if file.is_file()))
    (series,) = [series for series in siblings if series.uid == header.series_uid]
    if series.problem is not None:
        raise PetReadError(f"{path}: {series.problem}")
    return series


def _listing(series: list[PetSeries]) -> str:
    return "\n".join(f"  {one}" for one in series)


def _read_itk(path: Path, units: str | None) -> PetVolume:
    """NRRD and MetaImage by SimpleITK, whose LPS geometry becomes RAS."""
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise PetReadError(f"{path} cannot be read: {error}") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise PetReadError(f"{path} has shape {image.GetSize()}: one static 3-D volume is needed")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    voxels = sitk.GetArrayFromImage(image).transpose(2, 1, 0).astype(np.float32, copy=False)
    return with_units(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine, path, units)
