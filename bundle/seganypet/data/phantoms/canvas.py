"""The voxel grid that a phantom is painted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seganypet.data.phantoms.fields import smooth_field
from seganypet.data.phantoms.shapes import Coordinates, Vector

Region = tuple[slice, slice, slice]


class Canvas:
    """Labels and activity on a scanner's grid, with every voxel's place in a template patient.

    Template coordinates are mm with x to the patient's right, y anterior, z superior, the origin at the crotch in the
    middle of the body. They are the scanner's coordinates over the patient's scale, bent by a smooth random field, so
    that a shape that is plain in the template is not plain in the patient.

    Args:
        x: template coordinate of each voxel plane along the first axis [I], rising or falling.
        y: the same along the second axis [J].
        z: the same along the third axis [K].
        spacing_mm: voxel size in the scanner.
        rng: draws the bending.
        bend_mm: standard deviation of the bending.
    """

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        z: np.ndarray,
        *,
        spacing_mm: Sequence[float],
        rng: np.random.Generator,
        bend_mm: float = 5.0,
    ) -> None:
        self.axes = tuple(np.asarray(axis, dtype=np.float32) for axis in (x, y, z))
        self.spacing_mm = tuple(float(step) for step in spacing_mm)
        self.shape = (len(x), len(y), len(z))
        self.rng = rng
        self.labels = np.zeros(self.shape, dtype=np.int16)
        self.activity = np.zeros(self.shape, dtype=np.float32)
        bend = [np.float32(bend_mm) * self.field(110.0) for _ in range(3)]
        self.reach_mm = max(float(np.abs(b).max()) for b in bend)
        self.xyz: Coordinates = (
            bend[0] + self.axes[0][:, None, None],
            bend[1] + self.axes[1][:, None],
            bend[2] + self.axes[2],
        )

    def region(self, low: Vector, high: Vector) -> Region:
        """Slices of the voxels that can lie in a box of template coordinates, the bending included."""
        slices = []
        for axis, start, end in zip(self.axes, low, high, strict=True):
            inside = np.flatnonzero((axis >= start - self.reach_mm) & (axis <= end + self.reach_mm))
            slices.append(slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0))
        return slices[0], slices[1], slices[2]

    def coordinates(self, region: Region) -> Coordinates:
        """Template coordinates of a region's voxels, three arrays of its shape."""
        return self.xyz[0][region], self.xyz[1][region], self.xyz[2][region]

    def rename_axis(self, axis: int, onto: Callable[[np.ndarray], np.ndarray]) -> None:
        """Replace the coordinates along one axis by a rising function of them."""
        axes, xyz = list(self.axes), list(self.xyz)
        axes[axis], xyz[axis] = onto(axes[axis]).astype(np.float32), onto(xyz[axis]).astype(np.float32)
        self.axes, self.xyz = tuple(axes), (xyz[0], xyz[1], xyz[2])
        apart = np.abs(np.moveaxis(self.xyz[axis], axis, -1) - self.axes[axis])
        self.reach_mm = max(self.reach_mm, float(apart.max()))

    def field(self, correlation_mm: float, region: Region | None = None) -> np.ndarray:
        """A smooth random field (mean 0, standard deviation 1) over the grid or a region of it."""
        shape = self.shape if region is None else [part.stop - part.start for part in region]
        if 0 in shape:
            return np.zeros(shape, dtype=np.float32)
        return smooth_field(self.rng, shape, self.spacing_mm, correlation_mm)

    def paint(self, region: Region, inside: np.ndarray, value: int | np.ndarray, suv: float | np.ndarray) -> None:
        """Give the voxels `inside` a region a label value and an activity; arrays have the region's shape."""
        for target, source in ((self.labels, value), (self.activity, suv)):
            np.copyto(target[region], source, where=inside, casting="unsafe")
