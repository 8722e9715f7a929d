"""Liver, spleen, kidneys, stomach and pancreas."""

from __future__ import annotations

import numpy as np

from seganypet.data.phantoms.anatomy import VALUES
from seganypet.data.phantoms.painter import Painter
from seganypet.data.phantoms.shapes import Points, box_of, ellipsoid, join, rotation, tube


def paint_liver(painter: Painter) -> None:
    """Liver and gallbladder, under the diaphragm."""
    rng = painter.rng
    size = np.exp(rng.normal(0.06, 0.07))
    region = painter.canvas.region((-140, -115, 200), (150, 120, 460))
    xyz = painter.canvas.coordinates(region)
    x, y, z = xyz
    right = ellipsoid(xyz, (70, 0, 358), (82 * size, 78 * size, 92 * size), rotation(rng, 6))
    left = ellipsoid(xyz, (rng.uniform(-20, 5), 38, 388), (76 * size, 40 * size, 36 * size), rotation(rng, 10))
    shape = join(right, left, 25) + 4 * painter.canvas.field(38.0, region)
    step = 1 / (1 + np.exp((x - rng.uniform(45, 75)) / 14))  # from the right lobe's tip up to the left lobe
    under = 268 + rng.normal(0, 10) + 78 * step + 0.2 * np.maximum(0, 40 - x) - 0.3 * (y - 10)
    shape = np.maximum(shape, under - z + 5 * painter.canvas.field(30.0, region))
    inside = (
        (shape < 0) & (painter.body.core[region] < -16) & (z <= painter.dome(x, y)) & (painter.body.spine[region] > 12)
    )
    painter.paint(region, inside, "liver", painter.suv["liver"])
    region, _, shape = painter.blob((52, 46, 300), (13, 15, 26), turn=15)
    inside = (shape < 0) & (painter.body.core[region] < -16)
    inside &= painter.free(region) | (painter.canvas.labels[region] == VALUES["liver"])
    painter.canvas.paint(region, inside, VALUES["gallbladder"], painter.suv["gallbladder"])


def paint_spleen(painter: Painter) -> None:
    """The spleen, hollowed at its hilum."""
    region, xyz, shape = painter.blob((-98, -42, 372 + 0.8 * painter.breath), (29, 51, 53), turn=14)
    hilum = ellipsoid(xyz, (-62, -18, 372 + 0.8 * painter.breath), (27, 34, 40))
    x, y, z = xyz
    inside = (np.maximum(shape, -hilum) < 0) & (painter.body.core[region] < -15) & (z < painter.dome(x, y) + 4)
    painter.paint(region, inside, "spleen", painter.suv["spleen"])


def paint_kidneys(painter: Painter) -> None:
    """Kidneys with hot calyces, and what urine the ureters hold."""
    rng = painter.rng
    for side, name, height in ((1, "kidney_right", 288), (-1, "kidney_left", 304)):
        tilt = np.deg2rad(rng.normal(14, 5)) * side
        axes = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
        middle, radii = painter.jitter((side * 66, -42, height + 0.6 * painter.breath), (29, 27, 55))
        region = painter.canvas.region(middle - 70, middle + 70)
        xyz = painter.canvas.coordinates(region)
        shape = ellipsoid(xyz, middle, radii, axes) + 2 * painter.canvas.field(25.0, region)
        medial = middle + np.array([-side * 30.0, 6, 0])
        shape = np.maximum(shape, -ellipsoid(xyz, medial, (15, 16, 18)))
        inside = (shape < 0) & (painter.body.core[region] < -10)
        inside &= painter.free(region) | (painter.canvas.labels[region] == VALUES["liver"])
        sinus = ellipsoid(xyz, middle + np.array([-side * 9.0, 3, 0]), 0.5 * radii, axes)
        cortex = painter.suv["kidney"] * np.where(sinus < 0, 0.75, 1.0)
        painter.canvas.paint(region, inside, VALUES[name], cortex)
        calyces = (sinus < 2) & (painter.canvas.field(14.0, region) > rng.uniform(-0.2, 1.2))
        hot = painter.suv["renal_pelvis"] * np.exp(rng.normal(0, 0.3))
        painter.canvas.paint(region, inside & calyces, VALUES[name], hot)
        _paint_ureter(painter, side, medial, hot)


def _paint_ureter(painter: Painter, side: int, start: np.ndarray, hot: float) -> None:
    points: Points = [
        start,
        (side * 44, -22, 220),
        (side * 42, -18, 160),
        (side * 48, -20, 110),
        (side * 22, -2, 74),
    ]
    first = painter.rng.uniform(60, 260)
    region = painter.canvas.region(*box_of(points, 8))
    xyz = painter.canvas.coordinates(region)
    filled = (xyz[2] > first) & (xyz[2] < first + painter.rng.uniform(0, 90))  # peristalsis fills a part
    painter.paint(region, (tube(xyz, points, 3.2) < 0) & filled, "ureters", 0.8 * hot)


def paint_stomach(painter: Painter) -> None:
    """Stomach, wall and content, and pancreas."""
    rng, suv = painter.rng, painter.suv
    body = [(-52, -4, 398), (-66, 28, 362), (-50, 48, 322), (-8, 50, 302), (22, 40, 308)]
    points = np.asarray(body) + rng.normal(0, 4, (5, 3)) + [0, 0, 0.8 * painter.breath]
    radii = np.array([28, 31, 26, 17, 10]) * rng.uniform(0.7, 1.15)
    region = painter.canvas.region(*box_of(points, 45))
    shape = tube(painter.canvas.coordinates(region), points, radii) + 3 * painter.canvas.field(25.0, region)
    inside = (shape < 0) & (painter.body.core[region] < -14)
    content = rng.uniform(0.1, 0.6)
    wall = rng.uniform(6, 10)
    painter.paint(region, inside, "stomach", np.where(shape > -wall, suv["stomach"], content))
    points = np.array([(38, 14, 282), (20, 14, 306), (-20, 6, 318), (-72, -14, 338)]) + rng.normal(0, 4, (4, 3))
    region = painter.canvas.region(*box_of(points, 20))
    shape = tube(painter.canvas.coordinates(region), points, [15, 12, 10, 9]) + 2 * painter.canvas.field(14.0, region)
    painter.paint(region, shape < 0, "pancreas", suv["pancreas"])
