"""Planes of a volume as a radiologist looks at them, with masks outlined."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy import ndimage

from seganypet.pet import PetVolume

BODY_SHARE, MARGIN_MM = 0.06, 15.0  # projections are cut to what exceeds this share of black, plus a margin
HORIZONTAL_AND_VERTICAL = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}


@dataclass(frozen=True)
class RadiologicalView:
    """A volume turned to right-anterior-superior axes, and how its planes are drawn.

    Args:
        uptake: [x, y, z].
        spacing_mm: along x, y, z.
        turn: how arrays of the volume's grid become arrays like `uptake`.
        to_view: 4×4, voxel index of the volume → index of `uptake`.
    """

    uptake: NDArray[np.float32]
    spacing_mm: NDArray[np.float64]
    turn: NDArray[np.float64]
    to_view: NDArray[np.float64]

    @classmethod
    def of(cls, volume: PetVolume) -> RadiologicalView:
        turn = nib.orientations.io_orientation(volume.affine)
        uptake = nib.orientations.apply_orientation(volume.voxels, turn)
        back = nib.orientations.inv_ornt_aff(turn, volume.shape)
        spacing_mm = np.array(volume.spacing_mm)[np.argsort(turn[:, 0])]
        return cls(uptake, spacing_mm, turn, np.linalg.inv(back))

    def mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return nib.orientations.apply_orientation(mask, self.turn)

    def edges_mm(self, axis: int) -> tuple[float, float]:
        """Where an axis begins and ends, voxel 0 centred at 0 mm."""
        return -0.5 * self.spacing_mm[axis], (self.uptake.shape[axis] - 0.5) * self.spacing_mm[axis]

    def body_mm(self, axis: int, black: float) -> tuple[float, float]:
        """Where the body begins and ends along an axis, with a margin; the whole axis where nothing stands out."""
        profile = self.uptake.max(axis=tuple({0, 1, 2} - {axis}))
        body = np.flatnonzero(profile > BODY_SHARE * black)
        low, high = self.edges_mm(axis)
        if not body.size:
            return low, high
        first, last = (float(self.spacing_mm[axis] * index) for index in (body[0], body[-1]))
        return max(low, first - MARGIN_MM), min(high, last + MARGIN_MM)

    def show(self, axes: Axes, image: NDArray[np.floating], plane: str, *, white: float, black: float) -> None:
        """An image [horizontal, vertical] of a plane in inverse grey: right on the left, anterior or superior up."""
        horizontal, vertical = HORIZONTAL_AND_VERTICAL[plane]
        axes.imshow(
            image.T,
            origin="lower",
            extent=(*self.edges_mm(horizontal), *self.edges_mm(vertical)),
            cmap="gray_r",
            vmin=white,
            vmax=black,
            interpolation="bilinear",
            aspect="equal",
        )
        axes.set_xlim(self.edges_mm(horizontal)[::-1])  # a patient's right, and a sagittal view's front, on the left
        axes.set_axis_off()

    def outline(self, axes: Axes, mask: NDArray[np.bool_], plane: str, colour: str) -> None:
        """A mask [horizontal, vertical] of a plane as a contour over a faint filling."""
        if not mask.any():
            return
        horizontal, vertical = HORIZONTAL_AND_VERTICAL[plane]
        smooth = ndimage.gaussian_filter(np.pad(mask, 1).astype(float), 0.6)
        level = 0.5 * min(1.0, float(smooth.max()))
        x, y = (
            (np.arange(n) - 1) * self.spacing_mm[axis]
            for n, axis in zip(smooth.shape, (horizontal, vertical), strict=True)
        )
        axes.contourf(x, y, smooth.T, levels=[level, np.inf], colors=[colour], alpha=0.18)
        axes.contour(x, y, smooth.T, levels=[level], colors=[colour], linewidths=1.4)
