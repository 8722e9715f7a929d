"""Patient axes: DICOM, ITK and NRRD count to the left and back (LPS), nibabel and this project to right and front."""

from __future__ import annotations

import numpy as np

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""4×4 that turns patient coordinates in LPS mm to RAS mm, and back."""
