"""A mask as the bytes of an .nrrd or NIfTI file, on the full grid of the image the client sees."""

from __future__ import annotations

import base64
import gzip
from hashlib import blake2b
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from seganypet.clicks.voxel_set import Box, smallest_box
from seganypet.pet.axes import LPS_RAS

NRRD_TYPES = {"float32": "float"}  # where NRRD's name is not numpy's


def nrrd_bytes(mask: NDArray[np.generic], affine: NDArray[np.float64], *, compress: bool = False) -> bytes:
    """An .nrrd file: i fastest, in LPS as Slicer writes it.

    Written here because pynrrd takes four times as long, most of an answer's time beside the network's.

    Args:
        mask: [i, j, k].
        affine: 4×4, voxel → RAS mm.
        compress: gzip at its fastest level instead of raw. OHIF reads raw files only.
    """
    lps = LPS_RAS @ affine
    x, y, z, origin = ("(" + ",".join(f"{value:.17g}" for value in lps[:3, column]) + ")" for column in range(4))
    header = (
        "NRRD0004",
        f"type: {NRRD_TYPES.get(mask.dtype.name, mask.dtype.name)}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(length) for length in mask.shape)}",
        f"space directions: {x} {y} {z}",
        "kinds: domain domain domain",
        "endian: little",
        f"encoding: {'gzip' if compress else 'raw'}",
        f"space origin: {origin}",
    )
    data = mask.astype(mask.dtype.newbyteorder("<"), copy=False).tobytes(order="F")
    body = gzip.compress(data, compresslevel=1, mtime=0) if compress else data
    return b"".join(("\n".join(header).encode("ascii"), b"\n\n", body))


def nifti_bytes(mask: NDArray[np.generic], affine: NDArray[np.float64], *, compress: bool = True) -> bytes:
    """A NIfTI file with sform and qform in mm, gzipped at the fastest level unless `compress` is off."""
    image = nib.Nifti1Image(mask, affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    return gzip.compress(data, compresslevel=1, mtime=0) if compress else data


def mask_bytes(
    mask: NDArray[np.bool_],
    affine: NDArray[np.float64],
    *,
    extension: str,
    dtype: str = "uint8",
    compress: bool = False,
) -> bytes:
    """A mask as a file of the extension's format, 0 outside and 1 inside.

    Args:
        mask: bool [i, j, k].
        affine: 4×4, voxel → RAS mm.
        extension: ".nrrd", ".nii" or ".nii.gz".
        dtype: numpy name of the voxels' type.
        compress: gzip inside .nrrd.

    Raises:
        ValueError: another extension.
    """
    voxels = mask.view(np.uint8) if dtype == "uint8" else mask.astype(dtype)
    if extension == ".nrrd":
        return nrrd_bytes(voxels, affine, compress=compress)
    if extension in (".nii", ".nii.gz"):
        return nifti_bytes(voxels, affine, compress=extension == ".nii.gz")
    raise ValueError(f"a mask is written as .nrrd, .nii or .nii.gz, not as {extension!r}")


def mask_bits(mask: NDArray[np.bool_], box: Box | None) -> dict[str, Any]:
    """A mask as JSON: the box that holds it, and a bit a voxel in C order as base64, as `read_prompts` reads it.

    A liver takes some 20 kB. An empty mask has the shape [0, 0, 0].
    """
    if box is None:
        return {"start": [0, 0, 0], "shape": [0, 0, 0], "bits": ""}
    part = np.ascontiguousarray(mask[box])
    bits = base64.b64encode(np.packbits(part).tobytes()).decode()
    return {"start": [side.start for side in box], "shape": list(part.shape), "bits": bits}


def mask_digest(mask: NDArray[np.bool_]) -> str:
    """Tells a mask from any other on the same grid; 24 hexadecimal digits."""
    box = smallest_box(mask)
    digest = blake2b(repr((mask.shape, box)).encode(), digest_size=12)
    if box is not None:
        digest.update(np.packbits(np.ascontiguousarray(mask[box])).tobytes())
    return digest.hexdigest()
