"""One rung of the ladder over one volume: where its windows lie, and where clicks lie in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seganypet.data.preprocessing import WorkingGrid
from seganypet.inference.click_rules import Cell
from seganypet.inference.click_state import WorkingClick
from seganypet.inference.windows import Origin, Point, contains, place_window


@dataclass(frozen=True)
class RungView:
    """One rung over one volume.

    Args:
        number: of the rung, from the finest.
        grid: its working grid.
        size: voxels of its windows along each axis.
        stride: voxels per logit cell.
        placement: how its windows are placed.
    """

    number: int
    grid: WorkingGrid
    size: int
    stride: int
    placement: str

    @property
    def cells(self) -> int:
        """Logit cells of a window along each axis."""
        return self.size // self.stride

    @property
    def cell_mm(self) -> float:
        """Size of a logit cell."""
        return self.stride * self.grid.spacing_mm

    def contains(self, window: Origin, click: WorkingClick) -> bool:
        """Whether a click lies in a window."""
        return contains(window, self.size, self.grid.at_mm(click.point_mm))

    def place(self, click: WorkingClick) -> Origin:
        """The window that a first click is answered in."""
        return place_window(self._point(click), self.grid.shape, self.size, self.placement)

    def local(self, window: Origin, click: WorkingClick) -> list[float]:
        """A click as a voxel of a window."""
        return [p - first for p, first in zip(self._point(click), window, strict=True)]

    def cell(self, origin: Origin, click: WorkingClick) -> Cell:
        """The logit cell of a click, on a lattice that begins at a working voxel."""
        x, y, z = (math.floor((p + 0.5) / self.stride) for p in self.local(origin, click))
        return (x, y, z)

    def off_centre_mm(self, window: Origin, click: WorkingClick) -> float:
        """How far from a window's middle a click lies."""
        middle = (self.size - 1) / 2
        return math.dist(self.local(window, click), (middle, middle, middle)) * self.grid.spacing_mm

    def _point(self, click: WorkingClick) -> Point:
        # rounded, so that a volume stored flipped does not see the other side of a tie
        x, y, z = (round(p, 6) for p in self.grid.at_mm(click.point_mm))
        return (x, y, z)
