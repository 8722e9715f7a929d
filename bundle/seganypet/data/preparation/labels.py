"""Which of its named labels a label map holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seganypet.data.label_reading import LabelError, read_label_map
from seganypet.data.preparation.found import Found


def present_names(label: Path, names: dict[int, str], study: str, found: Found) -> dict[int, str]:
    """The names of the values that occur; what is wrong with the map is noted in `found`.

    Args:
        label: label map.
        names: what its values may mean; where there are none, the file's own.
        study: for the notes.
        found: gets them: a map that cannot be read, holds fractions, values without a name, or nothing.
    """
    try:
        read = read_label_map(label)
    except LabelError as error:
        found.report(study, str(error))
        return {}
    names = names or dict(read.names)
    whole = [int(value) for value in np.unique(read.voxels) if value > 0]
    if not whole:
        found.report(study, f"label {label} is empty")
    unnamed = [value for value in whole if value not in names]
    if unnamed:
        found.report(study, f"label {label} holds values without a name: {', '.join(map(str, unnamed))}")
    return {value: names[value] for value in whole if value in names}
