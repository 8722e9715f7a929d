"""What several tests do to a DICOM series."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom

# head first, axial: columns to the patient's left and rows to the back, in RAS terms both negative
AXIAL = np.array([[-4.0, 0, 0, 90], [0, -3.0, 0, 80], [0, 0, 2.5, -700], [0, 0, 0, 1.0]])


def edit(folder: Path, change: Callable[[pydicom.Dataset], None], *, only: int | None = None) -> None:
    """Apply `change` to every file of a series, or only to the one at that place, and save them again."""
    for index, path in enumerate(sorted(folder.glob("*.dcm"))):
        if only is None or index == only:
            dataset = pydicom.dcmread(path)
            change(dataset)
            dataset.save_as(path)


def assign(keyword: str, value: object) -> Callable[[pydicom.Dataset], None]:
    """A change for `edit`: one element gets a value."""
    return lambda dataset: setattr(dataset, keyword, value)


def remove(keyword: str) -> Callable[[pydicom.Dataset], None]:
    """A change for `edit`: one element goes."""
    return lambda dataset: delattr(dataset, keyword)
