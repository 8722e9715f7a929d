"""PET volumes and masks as NIfTI."""

from __future__ import annotations

import gzip
import logging
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from seganypet.pet.axes import itk_affine
from seganypet.pet.bids_sidecar import SidecarSuv, sidecar_of, sidecar_suv
from seganypet.pet.errors import PetReadError, SuvUnavailableError
from seganypet.pet.plausibility import body_mean, check_mean_suv
from seganypet.pet.suffixes import NIFTI_SUFFIXES
from seganypet.pet.volume import SUVBW, PetSource, PetVolume, SuvProvenance

logger = logging.getLogger(__name__)

# The hottest bladders and injection sites stay below this as SUV; a whole body in Bq/mL lies far above it.
LARGEST_PLAUSIBLE_SUV = 1000.0
_UNITS = {
    "suvbw": (SUVBW, 1.0),
    "suv": (SUVBW, 1.0),
    "bqml": ("BQML", 1.0),
    "bq/ml": ("BQML", 1.0),
    "kbqml": ("BQML", 1000.0),
    "kbq/ml": ("BQML", 1000.0),
    "cnts": ("CNTS", 1.0),
    "unknown": ("unknown", 1.0),
}
"""Units a caller may name → what the voxels become, and the factor that makes them that."""
ODD_FILE_MEAN_SUV = 2.0  # in a file that does not say its units; kBq/mL of a usual dose average some 3 to 6
ODD_GEOMETRY_MM = 0.1
VOXEL_MM = (0.05, 50.0)
"""Sides of a PET's voxels, a mouse's too: what lies outside was written in another unit of length than it says."""
# what nibabel lets through from a file that breaks off or holds nonsense
_BROKEN = (ImageFileError, HeaderDataError, WrapStructError, EOFError, OSError, zlib.error)
_MM_PER_UNIT = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


def read_nifti(path: Path, *, units: str | None = None) -> PetVolume:
    """A volume from .nii or .nii.gz.

    Args:
        path: the file; a BIDS sidecar of the same name is used where it says the units.
        units: "SUVbw", "BQML" or "kBq/mL", where the file itself cannot say; goes before the sidecar.

    Returns:
        SUVbw, unless `units`, the sidecar or values above any SUV say otherwise.

    Raises:
        PetReadError: not a readable NIfTI, or not one 3-D volume.
        ValueError: unknown `units`, NaN or infinite voxels, a singular affine.
    """
    voxels, affine = _load(path)
    return with_units(voxels, affine, path, units)


def with_units(voxels: NDArray[Any], affine: NDArray[Any], path: Path, units: str | None) -> PetVolume:
    """The volume of a file without DICOM tags: SUV unless `units`, a sidecar or the values say otherwise."""
    if units is not None and units.strip().lower() not in _UNITS:
        raise ValueError(f"units must be one of SUVbw, BQML, kBq/mL, CNTS or unknown, got {units!r}")
    chosen, to_units = (None, 1.0) if units is None else _UNITS[units.strip().lower()]
    source = PetSource((path,))
    sidecar = sidecar_of(path)
    by_sidecar = sidecar_suv(sidecar) if sidecar is not None else None
    if by_sidecar is not None and chosen is None:
        return _by_sidecar(voxels, affine, source, by_sidecar, by_sidecar.to_units)
    if by_sidecar is not None and chosen == by_sidecar.units != SUVBW:
        return _by_sidecar(voxels, affine, source, by_sidecar, to_units)
    if chosen is not None and chosen != SUVBW:
        reason = f"{path.name} is in {chosen} and has no BIDS sidecar that says how to turn it into SUV"
        if by_sidecar is not None and by_sidecar.provenance.reason is not None:
            reason = by_sidecar.provenance.reason
        return PetVolume(_times(voxels, to_units), affine, chosen, SuvProvenance(reason=reason), source)
    largest = float(voxels.max(initial=0.0))
    if chosen is None and np.isfinite(largest) and largest > LARGEST_PLAUSIBLE_SUV:
        reason = (
            f"{path.name} has values up to {largest:.6g}, which is in the range of Bq/mL; "
            "say units='SUVbw' or units='BQML', or put a BIDS PET sidecar beside it"
        )
        return PetVolume(voxels, affine, "unknown", SuvProvenance(reason=reason), source)
    rule = "given as SUVbw" if chosen else "a file without DICOM tags is taken as SUVbw"
    notes: list[str] = []
    if chosen is None and np.isfinite(largest):
        try:
            check_mean_suv(voxels, notes)
        except SuvUnavailableError as error:
            ask = "say units='SUVbw', 'BQML' or 'kBq/mL', or put a BIDS sidecar beside it"
            reason = f"{path.name}: {error.reason}; {ask}"
            return PetVolume(voxels, affine, "unknown", SuvProvenance(reason=reason), source)
        mean = body_mean(voxels)
        if not notes and mean is not None and mean > ODD_FILE_MEAN_SUV:
            notes.append(
                f"{path.name} does not say its units and was taken as SUV; it averages {mean:.3g}, over a whole body "
                "SUV averages about 1: if these are kBq/mL, say units='kBq/mL'"
            )
    for note in notes:
        logger.warning("SUV: %s", note)
    return PetVolume(voxels, affine, SUVBW, SuvProvenance(rule, None, (1.0, 1.0), notes=tuple(notes)), source)


def _by_sidecar(
    voxels: NDArray[Any], affine: NDArray[Any], source: PetSource, found: SidecarSuv, to_units: float
) -> PetVolume:
    """The volume of a file with a sidecar: SUV, or `found.units` where it does not suffice or cannot be right.

    Args:
        voxels: [i, j, k] as stored.
        affine: [4, 4].
        source: the file.
        found: by the sidecar.
        to_units: `found.units` per stored value; what the caller says of them goes before the sidecar.
    """
    provenance, stored_units = found.provenance, "unknown" if found.units == SUVBW else found.units
    if found.factor is None:
        return PetVolume(_times(voxels, to_units), affine, stored_units, provenance, source)
    factor = found.factor * to_units
    suv = _times(voxels, factor)
    notes = list(provenance.notes)
    if to_units != found.to_units:
        notes.append(
            f"values were taken as {to_units:g} Bq/mL as said; by the sidecar they are {found.to_units:g} Bq/mL"
        )
    try:
        if np.isfinite(suv.max(initial=0.0)):
            check_mean_suv(suv, notes)
    except SuvUnavailableError as error:
        reason = "; ".join((f"{source.files[0].name} by its sidecar: {error.reason}", *notes))
        logger.warning("%s", reason)
        refused = SuvProvenance(reason=reason, tags=provenance.tags)
        return PetVolume(_times(voxels, to_units), affine, stored_units, refused, source)
    for note in notes:
        logger.warning("SUV: %s", note)
    return PetVolume(suv, affine, SUVBW, replace(provenance, factor_range=(factor, factor), notes=tuple(notes)), source)


def _times(voxels: NDArray[Any], factor: float) -> NDArray[Any]:
    return voxels if factor == 1.0 else voxels * np.float32(factor)


def write_mask_nifti(mask: NDArray[Any], volume: PetVolume, path: str | Path) -> Path:
    """A mask on the volume's own grid, uint8, as .nii or .nii.gz.

    Args:
        mask: [i, j, k] of the volume; bool, or whole numbers from 0 to 255 for several labels.
        volume: whose geometry the file gets.
        path: .nii is written at once, .nii.gz at gzip's fastest level.

    Raises:
        ValueError: another shape than the volume's, or values that are no uint8 label.
    """
    path = Path(path)
    if not path.name.endswith(NIFTI_SUFFIXES):
        raise ValueError(f"a NIfTI file name ends with .nii or .nii.gz, got {path}")
    array = np.asarray(mask)
    if array.shape != volume.shape:
        raise ValueError(f"the mask has shape {array.shape}, the volume {volume.shape}")
    labels = array.astype(np.uint8)
    if not np.array_equal(labels, array):
        raise ValueError("a mask holds whole numbers from 0 to 255")
    image = nib.Nifti1Image(labels, volume.affine)
    image.set_qform(volume.affine, code=1)
    image.set_sform(volume.affine, code=1)
    image.header.set_xyzt_units("mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = image.to_bytes()
    # a mask compresses at level 1 almost as well as at 9, many times faster
    path.write_bytes(gzip.compress(content, compresslevel=1, mtime=0) if path.suffix == ".gz" else content)
    return path


def open_nifti(path: Path) -> tuple[Any, NDArray[np.float64]]:
    """A NIfTI as nibabel opens it, its voxels not read yet, and 4×4, voxel → RAS mm, as the viewers see it."""
    image = _opened(path)
    affine = np.array(_geometry(image, path), dtype=np.float64)
    affine[:3] *= _mm_per_unit(image)
    if not int(image.header["sform_code"]) and not int(image.header["qform_code"]):
        logger.warning("%s has neither sform nor qform: orientation is ITK's guess, spacing from pixdim", path)
    return image, affine


def checked(image: Any, path: Path) -> Any:
    """An opened NIfTI, read and held against its checksum where it is compressed: nibabel stops before that.

    Raises:
        OSError, EOFError, zlib.error: it is damaged or cut.
    """
    if not path.name.lower().endswith(".gz"):
        return image
    length = image.dataobj.offset + int(np.prod(image.shape)) * image.get_data_dtype().itemsize
    with gzip.open(path) as stream:
        content = stream.read(length)
        while stream.read(2**20):  # the checksum stands at the end
            pass
    return type(image).from_bytes(content)


def _load(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Voxels [i, j, k] in float32 and the affine in mm."""
    try:
        image, affine = open_nifti(path)
        shape = image.shape
        if len(shape) > 3 and all(length == 1 for length in shape[3:]):
            shape = shape[:3]
        if len(shape) != 3:
            raise PetReadError(f"{path} has shape {image.shape}: one static 3-D volume is needed, no frames or slices")
        if image.get_data_dtype().kind not in "fiub":
            raise PetReadError(f"{path} holds {image.get_data_dtype()}, no PET values")
        voxels = checked(image, path).get_fdata(dtype=np.float32, caching="unchanged").reshape(shape, order="F")
    except PetReadError:
        raise
    except (*_BROKEN, ValueError, OverflowError, TypeError) as error:
        raise PetReadError(f"{path} cannot be read as NIfTI, it may be truncated: {error}") from error
    sides_mm = np.linalg.norm(affine[:3, :3], axis=0)
    if sides_mm.max() < VOXEL_MM[0] or sides_mm.min() > VOXEL_MM[1]:
        sides = " × ".join(f"{side:.3g}" for side in sides_mm)
        raise PetReadError(f"{path} has voxels of {sides} mm, no PET's: is its unit of length, xyzt_units, right?")
    return voxels, affine


def _opened(path: Path) -> Any:
    """A NIfTI however its ending is written; nibabel knows small letters, and some in capitals."""
    if path.name.endswith(NIFTI_SUFFIXES):
        return nib.load(path)
    files = nib.Nifti1Image.make_file_map()
    files["image"].filename = str(path)
    return nib.Nifti1Image.from_file_map(files)


def _geometry(image: Any, path: Path) -> NDArray[np.float64]:
    """The affine of a NIfTI in its own unit, as the viewers see it.

    A file may say where it lies twice, and nibabel takes one (sform), ITK, and so Slicer, the other (qform, unless only
    the sform is coded). Where they differ, ITK's is taken, so that what is clicked, shown and saved lies in one place;
    and so where it says none, since their guesses differ, too.
    """
    header = image.header
    said = [bool(int(header[code])) for code in ("sform_code", "qform_code")]
    if not any(said):
        return _itk_geometry_in_unit(image, path)
    if not all(said):
        return image.affine
    sform, qform = header.get_sform(), header.get_qform()
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * [*image.shape[:3], 1]
    apart = float(np.abs((sform - qform) @ corners.T).max())
    if apart <= ODD_GEOMETRY_MM:
        return image.affine
    logger.warning(
        "%s says two places that are %.1f mm apart, sform and qform: ITK's choice is taken, as viewers do", path, apart
    )
    return _itk_geometry_in_unit(image, path)


def _itk_geometry_in_unit(image: Any, path: Path) -> NDArray[np.float64]:
    """ITK's affine in the file's own unit, nibabel's where ITK refuses it."""
    as_itk = itk_geometry(path)
    if as_itk is None:
        return image.affine
    as_itk[:3] /= _mm_per_unit(image)
    return as_itk


def nibabel_guess(volume: PetVolume) -> NDArray[np.float64] | None:
    """4×4, voxel → RAS mm, where nibabel lays a NIfTI that says no place; None for a volume of any other file."""
    files = volume.source.files if volume.source is not None else ()
    if len(files) != 1 or not files[0].name.lower().endswith(NIFTI_SUFFIXES):
        return None
    try:
        image = _opened(files[0])
    except (*_BROKEN, ValueError, FileNotFoundError):  # it went away meanwhile
        return None
    if int(image.header["sform_code"]) or int(image.header["qform_code"]):
        return None
    guess = np.array(image.header.get_base_affine(), dtype=np.float64)
    guess[:3] *= _mm_per_unit(image)
    return guess


def _mm_per_unit(image: Any) -> float:
    try:
        return _MM_PER_UNIT.get(image.header.get_xyzt_units()[0], 1.0)
    except KeyError:  # a code that NIfTI does not know
        return 1.0


def itk_geometry(path: Path) -> NDArray[np.float64] | None:
    """4×4, voxel → RAS mm, as ITK reads a NIfTI's header; None where ITK refuses it."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    return itk_affine(reader)
