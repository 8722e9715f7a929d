"""Which targets a label map holds: one for each organ value, one for each connected lesion.

Training leaves out lesions of a single voxel, evaluation none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from seganypet.pet.segment_codes import is_lesion

SMALLEST_VOXELS = 2  # of what is trained on, on the study's own grid


def names_of(names: str | Iterable[str]) -> frozenset[str]:
    """Label names as a person gives them: one, several with commas between them, or a list."""
    given = names.split(",") if isinstance(names, str) else names
    return frozenset(str(name).strip() for name in given) - {""}


def known_names(names: str | Iterable[str], labels: Iterable[str]) -> frozenset[str]:
    """The same, of which each must be one of the labels.

    Raises:
        ValueError: names that are none.
    """
    given, known = names_of(names), sorted(set(labels))
    unknown = sorted(given - set(known))
    if unknown:
        raise ValueError(f"there is no label {', '.join(unknown)}; there are {', '.join(known) or 'none'}")
    return given


@dataclass(frozen=True, eq=False)
class Part:
    """The extent of one thing to segment in a label map.

    Args:
        name: its label's name.
        lesion: whether it is one component of a lesion label; else it is the whole of its label.
        box: slices of the map that hold it.
        mask: bool, in the box.
    """

    name: str
    lesion: bool
    box: tuple[slice, slice, slice]
    mask: NDArray[np.bool_]

    def whole(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """The mask in a map of this shape."""
        mask = np.zeros(shape, dtype=bool)
        mask[self.box] = self.mask
        return mask


def parts_of(labels: NDArray[np.integer], label_names: Mapping[int, str]) -> Iterator[Part]:
    """What there is to segment in a label map, by value, then as the map's voxels follow each other.

    Args:
        labels: [x, y, z] label values.
        label_names: name of each value; values without a name are background.
    """
    boxes = ndimage.find_objects(labels.astype(np.int32))
    for value, name in sorted(label_names.items()):
        box = boxes[value - 1] if 0 < value <= len(boxes) else None
        if box is None:
            continue
        here = labels[box] == value
        parts, count = ndimage.label(here) if is_lesion(name) else (here.astype(np.int32), 1)
        for number, inner in enumerate(ndimage.find_objects(parts, max_label=count), start=1):
            i, j, k = (slice(a.start + b.start, a.start + b.stop) for a, b in zip(box, inner, strict=True))
            yield Part(name, is_lesion(name), (i, j, k), parts[inner] == number)


@dataclass(frozen=True)
class Target:
    """One thing to train on.

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
    """The targets of a label map that are trained on.

    Args:
        labels: [x, y, z] label values.
        label_names: name of each value; values without a name are background.

    Returns:
        A map [x, y, z] int16 of target indices, 0 background, and the targets.
    """
    targets_map = np.zeros(tuple(labels.shape), np.int16)
    targets: list[Target] = []
    for part in parts_of(labels.numpy(), label_names):
        voxels = int(part.mask.sum())
        if voxels < SMALLEST_VOXELS:
            continue
        index = len(targets) + 1
        targets_map[part.box][part.mask] = index
        targets.append(Target(index, part.name, part.lesion, part.box, voxels))
    return torch.from_numpy(targets_map), targets
