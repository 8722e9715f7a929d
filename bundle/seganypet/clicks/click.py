"""What a click is."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Click:
    """One prompt of a reader.

    The only axis order in this project: `ijk` are voxel indices of the volume as nibabel indexes its array, voxel
    centres at whole numbers. Every later room keeps that order: points reach the network as (dim0, dim1, dim2).

    Args:
        ijk: voxel indices, may be fractional.
        positive: True for "this belongs to the target", False for "this does not".
    """

    ijk: tuple[float, float, float]
    positive: bool = True

    def __post_init__(self) -> None:
        ijk = tuple(self.ijk)
        if len(ijk) != 3:
            raise ValueError(f"a click needs three voxel indices (i, j, k), got {self.ijk!r}")
        try:
            object.__setattr__(self, "ijk", tuple(float(index) for index in ijk))
        except (TypeError, ValueError):
            raise ValueError(f"a click's voxel indices must be numbers, got {self.ijk!r}") from None
        object.__setattr__(self, "positive", bool(self.positive))

    @property
    def voxel(self) -> tuple[int, int, int]:
        """The voxel that the click lies in, indices (i, j, k); of two at the same distance the higher index."""
        i, j, k = (math.floor(index + 0.5) for index in self.ijk)
        return (i, j, k)
