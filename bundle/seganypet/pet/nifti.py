"""PET volumes and masks as NIfTI."""

from __future__ import annotations

import gzip
import logging
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from seganypet.pet.bids_sidecar import sidecar_of, sidecar_suv
from seganypet.pet.errors import PetReadError
from seganypet.pet.volume import SUVBW, PetSource, PetVolume, SuvProvenance

logger = logging.getLogger(__name__)

NIFTI_SUFFIXES = (".nii", ".nii.gz")
# The hottest bladders and injection sites stay below this as SUV; a whole body in Bq/mL lies far above it.
LARGEST_PLAUSIBLE_SUV = 1000.0
_UNITS = {"suvbw": SUVBW, "suv": SUVBW, "bqml": "BQML", "bq/ml": "BQML", "cnts": "CNTS", "unknown": "unknown"}
_MM_PER_UNIT = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


def read_nifti(path: Path, *, units: str | None = None) -> PetVolume:
    """A volume from .nii or .nii.gz.

    Args:
        path: the file; a BIDS sidecar of the same name is used where it says the units.
        units: "SUVbw" or "BQML", where the file itself cannot say; goes before the sidecar.

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
        raise ValueError(f"units must be one of SUVbw, BQML, CNTS or unknown, got {units!r}")
    chosen = None if units is None else _UNITS[units.strip().lower()]
    source = PetSource((path,))
    sidecar = sidecar_of(path)
    by_sidecar = sidecar_suv(sidecar) if sidecar is not None else None
    if by_sidecar is not None and by_sidecar.factor is not None and chosen in (None, by_sidecar.units):
        scaled = voxels * np.float32(by_sidecar.factor) if by_sidecar.factor != 1.0 else voxels
        return PetVolume(scaled, affine, SUVBW, by_sidecar.provenance, source)
    if chosen is None and by_sidecar is not None:
        return PetVolume(voxels, affine, by_sidecar.units, by_sidecar.provenance, source)
    if chosen is not None and chosen != SUVBW:
        reason = f"{path.name} is in {chosen} and has no BIDS sidecar that says how to turn it into SUV"
        if by_sidecar is not None and by_sidecar.provenance.reason is not None:
            reason = by_sidecar.provenance.reason
        return PetVolume(voxels, affine, chosen, SuvProvenance(reason=reason), source)
    largest = float(voxels.max(initial=0.0))
    if chosen is None and np.isfinite(largest) and largest > LARGEST_PLAUSIBLE_SUV:
        reason = (
            f"{path.name} has values up to {largest:.6g}, which is in the range of Bq/mL; "
            "say units='SUVbw' or units='BQML', or put a BIDS PET sidecar beside it"
        )
        return PetVolume(voxels, affine, "unknown", SuvProvenance(reason=reason), source)
    rule = "given as SUVbw" if chosen else "a file without DICOM tags is taken as SUVbw"
    return PetVolume(voxels, affine, SUVBW, SuvProvenance(rule, factor_range=(1.0, 1.0)), source)


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


def _load(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Voxels [i, j, k] in float32 and the affine in mm."""
    try:
        image: Any = nib.load(path)
        shape = image.shape
        if len(shape) > 3 and all(length == 1 for length in shape[3:]):
            shape = shape[:3]
        if len(shape) != 3:
            raise PetReadError(f"{path} has shape {image.shape}: one static 3-D volume is needed, no frames or slices")
        if image.get_data_dtype().kind not in "fiub":
            raise PetReadError(f"{path} holds {image.get_data_dtype()}, no PET values")
        voxels = image.get_fdata(dtype=np.float32, caching="unchanged").reshape(shape, order="F")
    except (ImageFileError, EOFError, OSError, zlib.error) as error:
        raise PetReadError(f"{path} cannot be read as NIfTI, it may be truncated: {error}") from error
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= _MM_PER_UNIT.get(image.header.get_xyzt_units()[0], 1.0)
    if not int(image.header["sform_code"]) and not int(image.header["qform_code"]):
        logger.warning("%s has neither sform nor qform: orientation is a guess, spacing from pixdim", path)
    return voxels, affine
