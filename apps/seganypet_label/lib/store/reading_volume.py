"""A study as the reading page gets it: once, in 16 bits, in the orientation nearest to the patient's axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from numpy.typing import NDArray

from seganypet.pet import PetVolume

LEVELS = 2**16 - 1  # between the lowest and the highest value; of a whole body with SUV 65 a step is 0.001


@dataclass(frozen=True, eq=False)
class ReadingVolume:
    """The page's grid beside the study's own.

    Voxels of the page are indexed [x, y, z]: along the axes that come nearest to the patient's left-to-right,
    posterior-to-anterior and foot-to-head. The study's own [i, j, k] is what clicks and masks refer to.

    Args:
        volume: the study's.
    """

    volume: PetVolume

    @cached_property
    def orientation(self) -> NDArray[np.float64]:
        """[3, 2]: for each of i, j, k the page's axis it becomes, and 1 or −1 where it is turned round."""
        found: NDArray[np.float64] = io_orientation(self.volume.affine)
        return found

    @cached_property
    def axes(self) -> tuple[tuple[int, bool], ...]:
        """For each of x, y, z which of i, j, k it is, and whether it runs the other way."""
        found = {int(target): (source, bool(flip < 0)) for source, (target, flip) in enumerate(self.orientation)}
        return found[0], found[1], found[2]

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """4×4, [x, y, z] → RAS mm."""
        moved: NDArray[np.float64] = self.volume.affine @ inv_ornt_aff(self.orientation, self.volume.shape)
        return moved

    @cached_property
    def levels(self) -> tuple[float, float]:
        """Lowest value, and the step between two stored ones."""
        low, high = float(self.volume.voxels.min()), float(self.volume.voxels.max())
        return low, (high - low) / LEVELS or 1.0

    def turned(self, values: NDArray[Any]) -> NDArray[Any]:
        """An array on the study's grid, on the page's; a view."""
        found: NDArray[Any] = apply_orientation(values, self.orientation)
        return found

    def description(self) -> dict[str, Any]:
        """What the page has to know of the grid to show it and to click in it."""
        low, step = self.levels
        x, y, z = (self.volume.shape[source] for source, _ in self.axes)
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        oblique = np.abs(self.affine[:3, :3] / spacing - np.eye(3)).max() > 1e-3
        return {
            "shape": [x, y, z],
            "axes": [{"source": source, "flipped": flipped} for source, flipped in self.axes],
            "spacing_mm": spacing.tolist(),
            "affine": self.affine.tolist(),
            "oblique": bool(oblique),
            "low": low,
            "step": step,
        }

    def stored(self) -> bytes:
        """uint16 little endian, x fastest; value = low + step × stored."""
        low, step = self.levels
        voxels = self.turned(self.volume.voxels).ravel(order="F")
        scaled = (voxels - np.float32(low)) / np.float32(step)
        return bytes(np.rint(scaled, out=scaled).clip(0, LEVELS).astype("<u2").data)
