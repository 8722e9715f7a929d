"""A set of voxels that is a value: compared, hashed and kept like a click."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class VoxelSet:
    """Voxels in the smallest box that holds them.

    Args:
        start: voxel index (i, j, k) of the box's first voxel.
        shape: voxels of the box along i, j and k.
        bits: one bit a voxel, [i, j, k] in C order, as `numpy.packbits` packs them.
    """

    start: tuple[int, int, int]
    shape: tuple[int, int, int]
    bits: bytes

    @classmethod
    def of(cls, array: NDArray, start: tuple[int, int, int] = (0, 0, 0)) -> VoxelSet:
        """The voxels that are not 0.

        Args:
            array: [i, j, k], any number type.
            start: voxel index of the array's first voxel.

        Raises:
            ValueError: not three axes, no voxel, a negative start, or NaN.
        """
        array = np.asarray(array)
        if array.ndim != 3 or array.dtype.kind not in "fiub":
            raise ValueError(f"drawn voxels are an array [i, j, k] of numbers, got {array.dtype} {list(array.shape)}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError("drawn voxels must be finite, got NaN or infinity")
        if min(start) < 0:
            raise ValueError(f"drawn voxels begin at index 0 or later, got {list(start)}")
        found = array if array.dtype == bool else array != 0
        box = smallest_box(found)
        if box is None:
            raise ValueError("nothing is drawn: all voxels are 0")
        cut = np.ascontiguousarray(found[box])
        i, j, k = (int(first) + side.start for first, side in zip(start, box, strict=True))
        x, y, z = cut.shape
        return cls((i, j, k), (x, y, z), np.packbits(cut).tobytes())

    @property
    def box(self) -> Box:
        """The index box, as slices (i, j, k)."""
        i, j, k = (slice(a, a + n) for a, n in zip(self.start, self.shape, strict=True))
        return (i, j, k)

    def array(self) -> NDArray[np.bool_]:
        """bool [i, j, k] in the box."""
        count = int(np.prod(self.shape))
        return np.unpackbits(np.frombuffer(self.bits, np.uint8), count=count).astype(bool).reshape(self.shape)

    def on(self, shape: Sequence[int], order: Literal["F", "C"] = "F") -> NDArray[np.bool_]:
        """bool [i, j, k] on a volume's grid.

        Args:
            shape: voxels of the volume, in which the box lies.
            order: of the array in memory.
        """
        mask = np.zeros(shape, bool, order=order)
        mask[self.box] = self.array()
        return mask


def smallest_box(mask: NDArray[np.bool_], within: Box | None = None) -> Box | None:
    """The smallest index box that holds a mask; None where it is empty. Of 16 million voxels that takes some ms.

    Args:
        mask: bool [i, j, k].
        within: a box that holds it too, where one is known: nothing else is looked at.
    """
    box = list(within) if within is not None else [slice(0, length) for length in mask.shape]
    slowest_first = (2, 1, 0) if mask.flags.f_contiguous else (0, 1, 2)
    for axis in slowest_first:  # each looks only at what the one before left
        others = tuple(other for other in range(3) if other != axis)
        hit = np.flatnonzero(mask[tuple(box)].any(axis=others))
        if not hit.size:
            return None
        first = box[axis].start
        box[axis] = slice(first + int(hit[0]), first + int(hit[-1]) + 1)
    return (box[0], box[1], box[2])


def reaches_inner_face(part: NDArray[np.bool_], box: Sequence[slice], shape: Sequence[int]) -> bool:
    """Whether a mask reaches a face of its box beyond which the volume goes on.

    Args:
        part: bool [i, j, k] in the box.
        box: where it lies in the volume.
        shape: voxels of the volume.
    """
    for axis, (side, length) in enumerate(zip(box, shape, strict=True)):
        faces = np.moveaxis(part, axis, 0)
        if (side.start > 0 and faces[0].any()) or (side.stop < length and faces[-1].any()):
            return True
    return False
