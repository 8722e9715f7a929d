"""Which targets a label map holds: one for each organ value, one for each connected lesion."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from seganypet.data.preprocessing import WorkingGrid

LESION_NAMES = re.compile(r"lesion|tumou?r|metasta|gtv|cancer|lymphoma", re.IGNORECASE)
SMALLEST_VOXELS = 2  # on the working grid; 0.3 mL at 3 mm is 11 voxels


def is_lesion(name: str) -> bool:
    """Whether a label's name says that each of its connected components is a target of its own."""
    return bool(LESION_NAMES.search(name))


@dataclass(frozen=True)
class Target:
    """One thing to segment.

    Args:
        index: its value in the map of targets.
        name: its label's name.
        lesion: whether it is one component of a lesion label.
        box: working-grid slices that hold it.
        voxels: its size on the working grid.
    """

    index: int
    name: str
    lesion: bool
    box: tuple[slice, slice, slice]
    voxels: int


def resample_labels(labels: np.ndarray, grid: WorkingGrid, values: Sequence[int]) -> Tensor:
    """A label map on the working grid: for each voxel the label of the largest share, linearly.

    Args:
        labels: [i, j, k] integers.
        values: which of them to keep; the others become background.

    Returns:
        [x, y, z] int16. A nearest-neighbour map would move the border of a small lesion by up to half a voxel.
    """
    turned = grid.turn(labels.astype(np.int32))
    boxes = ndimage.find_objects(turned.numpy())
    best = torch.full(grid.shape, 0.5)
    result = torch.zeros(grid.shape, dtype=torch.int16)
    for value in values:
        box = boxes[value - 1] if value <= len(boxes) else None
        if box is None:
            continue
        share = (turned[box] == value).float()
        reached = []
        for axis in range(3):
            columns = grid.weights[axis][:, box[axis]]
            rows = columns.any(1).nonzero()[:, 0]
            if len(rows) == 0:
                break
            reached.append(slice(int(rows[0]), int(rows[-1]) + 1))
            share = torch.movedim(torch.tensordot(columns[reached[axis]], share, dims=([1], [axis])), 0, axis)
        if len(reached) < 3:
            continue
        here = tuple(reached)
        wins = share >= best[here]
        result[here] = torch.where(wins, torch.tensor(value, dtype=torch.int16), result[here])
        best[here] = torch.where(wins, share, best[here])
    return result


def split_targets(labels: Tensor, label_names: dict[int, str]) -> tuple[Tensor, list[Target]]:
    """The targets of a label map on the working grid.

    Args:
        labels: [x, y, z] int16 label values.
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
