"""What every organ's code shares: where the body is, and how a shape is varied and painted."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from seganypet.data.phantoms.anatomy import VALUES
from seganypet.data.phantoms.canvas import Canvas, Region
from seganypet.data.phantoms.shapes import Coordinates, Vector, ellipsoid, rotation


class Ground(Protocol):
    """A body that organs are painted into.

    Attributes:
        canvas: labels and activity, painted with fat, muscle and bone.
        male: whether it gets a prostate or a uterus.
        skin: about the distance to the skin in mm, negative inside [I, J, K].
        core: about the distance to the outer muscles, negative inside: the skin less the fat.
        spine: about the distance to the vertebral bodies.
    """

    canvas: Canvas
    male: bool
    skin: np.ndarray
    core: np.ndarray
    spine: np.ndarray


class Painter:
    """Paints organs into a body, each moved, turned, resized and roughened at random.

    Args:
        body: where to; its canvas' generator is used.
        suv: mean SUV by tissue, as `draw_uptakes` gives it.
    """

    def __init__(self, body: Ground, suv: dict[str, float]) -> None:
        self.body, self.canvas, self.suv = body, body.canvas, suv
        self.rng = body.canvas.rng
        self.breath = float(self.rng.uniform(-16, 12))  # how much higher the diaphragm stands

    def jitter(self, centre: Vector, radii: Vector) -> tuple[np.ndarray, np.ndarray]:
        """A centre moved by some 4 mm and radii changed by some 10 %."""
        whole = np.exp(self.rng.normal(0, 0.09))
        moved = np.asarray(centre) + self.rng.normal(0, 4.0, 3)
        return moved, np.asarray(radii) * whole * np.exp(self.rng.normal(0, 0.045, 3))

    def blob(
        self, centre: Vector, radii: Vector, *, turn: float = 8.0, rough_mm: float = 2.5, axes: np.ndarray | None = None
    ) -> tuple[Region, Coordinates, np.ndarray]:
        """A jittered ellipsoid with a rough surface: its region, coordinates and implicit values."""
        middle, extent = self.jitter(centre, radii)
        frame = rotation(self.rng, turn) if axes is None else axes @ rotation(self.rng, turn)
        reach = float(extent.max()) + 3 * rough_mm
        region = self.canvas.region(middle - reach, middle + reach)
        xyz = self.canvas.coordinates(region)
        rough = np.float32(rough_mm) * self.canvas.field(float(max(14.0, extent.min())), region)
        return region, xyz, ellipsoid(xyz, middle, extent, frame) + rough

    def free(self, region: Region) -> np.ndarray:
        """Fat and muscle: what an organ may replace, bool."""
        labels = self.canvas.labels[region]
        return (labels == VALUES["fat"]) | (labels == VALUES["muscle"])

    def paint(self, region: Region, inside: np.ndarray, name: str, suv: float | np.ndarray) -> None:
        """Give the free voxels `inside` a region a label and an activity."""
        self.canvas.paint(region, inside & self.free(region), VALUES[name], suv)

    def dome(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Height of the diaphragm."""
        right = 48 * np.exp(-(((x - 66) / 62) ** 2) - ((y - 8) / 62) ** 2)
        left = 34 * np.exp(-(((x + 72) / 56) ** 2) - ((y - 4) / 62) ** 2)
        recess = 0.55 * np.maximum(0, -y - 5) + 0.5 * np.maximum(0, np.abs(x) - 95)
        return np.float32(398 + self.breath) + right + left - recess
