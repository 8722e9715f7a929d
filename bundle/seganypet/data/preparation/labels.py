"""Which of its named labels a label map holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from seganypet.data.preparation.found import Found


def present_names(label: Path, names: dict[int, str], study: str, found: Found) -> dict[int, str]:
    """The names of the values that occur; what is wrong with the map is noted in `found`.

    Args:
        label: NIfTI label map.
        names: what its values may mean.
        study: for the notes.
        found: gets them: a map that cannot be read, holds fractions, values without a name, or nothing.
    """
    try:
        image: Any = nib.load(label)
        values = np.unique(np.asarray(image.dataobj))
    except Exception as error:
        found.report(study, f"label {label} cannot be read: {error}")
        return {}
    if not np.array_equal(values, np.round(values)) or values.min() < 0:
        found.report(study, f"label {label} holds values that are no labels: {values[:5].tolist()}")
        return {}
    whole = [int(value) for value in values if value > 0]
    if not whole:
        found.report(study, f"label {label} is empty")
    unnamed = [value for value in whole if value not in names]
    if unnamed:
        found.report(study, f"label {label} holds values without a name: {', '.join(map(str, unnamed))}")
    return {value: names[value] for value in whole if value in names}
