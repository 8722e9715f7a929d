"""Patient axes: DICOM, ITK and NRRD count to the left and back (LPS), nibabel and this project to right and front."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""4×4 that turns patient coordinates in LPS mm to RAS mm, and back."""


def itk_affine(image: sitk.Image | sitk.ImageFileReader) -> NDArray[np.float64]:
    """4×4, voxel → RAS mm, of an ITK image, or a reader that knows its header; a fourth axis is left out."""
    axes = min(image.GetDimension(), 3)
    direction = np.reshape(image.GetDirection(), (image.GetDimension(), -1))
    affine = np.eye(4)
    affine[:axes, :axes] = direction[:axes, :axes] * np.array(image.GetSpacing()[:axes])
    affine[:axes, 3] = image.GetOrigin()[:axes]
    return LPS_RAS @ affine
