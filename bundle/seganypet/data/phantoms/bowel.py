"""Colon and small bowel."""

from __future__ import annotations

import numpy as np

from seganypet.data.phantoms.anatomy import VALUES
from seganypet.data.phantoms.painter import Painter
from seganypet.data.phantoms.shapes import Points, box_of, tube


def paint_bowel(painter: Painter) -> None:
    """Colon and loops of small bowel in the abdominal cavity, whose rest is turned to fat."""
    rng, core = painter.rng, painter.body.core
    region = painter.canvas.region((-135, -60, 60), (135, 100, 400))
    x, y, z = painter.canvas.coordinates(region)
    back = -12 + 0.0011 * (np.abs(x) - 70) ** 2 - 26 * (np.abs(x) > 62)
    cavity = (core[region] < -13) & (y > back) & (z > 84) & (z < 385) & (z < painter.dome(x, y))
    cavity &= (np.abs(x) < 70 + 0.5 * np.maximum(0, z - 130)) & painter.free(region)
    loops = np.clip(0.5 + 0.8 * painter.canvas.field(13.0, region), 0, 1)  # mesentery, vessels, empty loops
    painter.canvas.paint(region, cavity, VALUES["fat"], painter.suv["fat"] + loops * 0.35 * painter.suv["bowel"])
    free_z = rng.normal(0, 10, 6)
    colon = [(78, 6, 165), (86, 4, 215), (90, 8, 272), (52, 56, 262 + free_z[0]), (0, 66, 250 + 2 * free_z[1])]
    colon += [(-52, 56, 278 + free_z[2]), (-98, -2, 330 + free_z[3]), (-102, -10, 260), (-96, 0, 190)]
    colon += [(-70, 26, 152), (-28, 24, 142 + free_z[4]), (12, 6, 136), (0, -34, 122)]
    rectum = [(0, -34, 122), (0, -52, 92), (0, -46, 60), (0, -34, 28)]
    coils = _coils(rng.uniform((-68, 5, 112), (68, 62, 300), (int(rng.integers(22, 34)), 3)))
    parts: list[tuple[Points, float, float, str]] = [
        (colon, rng.uniform(15, 21), 7.0, "bowel"),
        (rectum, 15.0, 8.0, "bowel"),
        (coils, 11.5, 9.0, "small_bowel"),
    ]
    for points, radius, wall, tissue in parts:
        level = painter.suv[tissue] * np.exp(rng.normal(0, 0.25)) * (rng.uniform(1.5, 3) if rng.random() < 0.12 else 1)
        box = painter.canvas.region(*box_of(points, radius + 8))
        shape = tube(painter.canvas.coordinates(box), points, radius) + 3 * painter.canvas.field(18.0, box)
        inside = (shape < 0) & (core[box] < -11) & painter.free(box)
        patchy = level * np.exp(np.clip(0.5 * painter.canvas.field(40.0, box), -1.0, 0.9))
        content = np.where(painter.canvas.field(45.0, box) > 0.3, 0.3, 0.6) * patchy
        painter.canvas.paint(box, inside, VALUES["bowel"], np.where(shape > -wall, patchy, content))


def _coils(points: np.ndarray) -> list[np.ndarray]:
    """The points in the order of a walk from each to the nearest not yet seen."""
    left = list(points)
    walk = [left.pop()]
    while left:
        nearest = int(np.argmin([np.sum((p - walk[-1]) ** 2) for p in left]))
        walk.append(left.pop(nearest))
    return walk
