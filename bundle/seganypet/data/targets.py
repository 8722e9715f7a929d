"""Which targets a label map holds: one for each organ value, one for each connected lesion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from seganypet.pet.segment_codes import is_lesion

SMALLEST_VOXELS = 2  # of a lesion on the study's own grid


@dataclass(frozen=True)
class Target:
    """One thing to segment.

    Args:
        index: its value in the map of targets.
        name: its label's name.
        lesion: whether it is one component of a lesion label.
        box: slices of the map that hold it.
        voxels: its size.
    """

    index: int
    name: str
    lesion: bool
    box: tuple[slice, slice, slice]
    voxels: int


def split_targets(labels: Tensor, label_names: dict[int, str]) -> tuple[Tensor, list[Target]]:
    """The targets of a label map.

    Args:
        labels: [x, y, z] label values.
        label_names: name of each value; values without a name are background.

    Returns:
        A map [x, y, z] int16 of target indices, 0 background, and the targets.
    """
    values = labels.numpy()
    targets_map = np.zeros(values.shape, np.int16)
    targets: list[Target] = []
    boxes = ndimage.find_objects(values.astype(np.int32))
    for value, name in sorted(label_names.items()):
        box = boxes[value - 1] if 0 < value <= len(boxes) else None
        if box is None:
            continue
        here = values[box] == value
        parts, count = ndimage.label(here) if is_lesion(name) else (here.astype(np.int32), 1)
        for part, part_box in enumerate(ndimage.find_objects(parts, max_label=count), start=1):
            voxels = int((parts[part_box] == part).sum())
            if voxels < SMALLEST_VOXELS:
                continue
            index = len(targets) + 1
            absolute = tuple(
                slice(outer.start + inner.start, outer.start + inner.stop)
                for outer, inner in zip(box, part_box, strict=True)
            )
            targets_map[absolute][parts[part_box] == part] = index
            targets.append(Target(index, name, is_lesion(name), absolute, voxels))  # type: ignore[arg-type]
    return torch.from_numpy(targets_map), targets
