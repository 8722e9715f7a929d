"""A mask as the bytes of an .nrrd or NIfTI file, on the full grid of the image the client sees."""

from __future__ import annotations

import gzip
import io
from collections import OrderedDict

import nibabel as nib
import nrrd
import numpy as np
from numpy.typing import NDArray

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def nrrd_bytes(mask: NDArray[np.generic], affine: NDArray[np.float64], *, compress: bool = False) -> bytes:
    """An .nrrd file: i fastest, raw unless `compress`, in LPS as Slicer writes it.

    Args:
        mask: [i, j, k].
        affine: 4×4, voxel → RAS mm.
        compress: gzip at its fastest level. OHIF reads raw files only.
    """
    lps = RAS_TO_LPS @ affine
    header = OrderedDict(
        [
            ("space", "left-posterior-superior"),
            ("kinds", ["domain", "domain", "domain"]),
            ("space directions", lps[:3, :3].T),
            ("space origin", lps[:3, 3]),
            ("encoding", "gzip" if compress else "raw"),
        ]
    )
    file = io.BytesIO()
    nrrd.write(file, mask, header, compression_level=1)
    return file.getvalue()


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
    voxels = mask.astype(dtype, order="F")
    if extension == ".nrrd":
        return nrrd_bytes(voxels, affine, compress=compress)
    if extension in (".nii", ".nii.gz"):
        return nifti_bytes(voxels, affine, compress=extension == ".nii.gz")
    raise ValueError(f"a mask is written as .nrrd, .nii or .nii.gz, not as {extension!r}")
