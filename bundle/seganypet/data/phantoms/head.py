"""Brain and the head's soft tissue."""

from __future__ import annotations

import numpy as np

from seganypet.data.phantoms.anatomy import VALUES
from seganypet.data.phantoms.painter import Painter
from seganypet.data.phantoms.shapes import ellipsoid


def paint_head(painter: Painter) -> None:
    """Brain, cerebellum, salivary glands, tonsils, air and mouth."""
    rng, suv = painter.rng, painter.suv
    region = painter.canvas.region((-90, -110, 640), (90, 100, 925))
    xyz = painter.canvas.coordinates(region)
    x, y, z = xyz
    within = painter.body.core[region] < 0
    brain = np.maximum(ellipsoid(xyz, (0, -4, 822), (65, 84, 80)), 772 + 0.25 * y - z)
    cerebellum = np.maximum(ellipsoid(xyz, (0, -48, 780), (52, 34, 28)), -1e3)
    folds = 5 * painter.canvas.field(9.0, region)
    white = (ellipsoid(xyz, (0, -4, 822), (51, 68, 62)) + folds < 0) & (brain < -8)
    deep = np.zeros(within.shape, dtype=bool)
    for side in (-1, 1):
        deep |= ellipsoid(xyz, (side * 20, 4, 815), (11, 22, 16)) < 0
    ventricle = ellipsoid(xyz, (0, -2, 832), (9, 30, 11)) < 0
    level = np.where(white & ~deep, np.where(ventricle, 0.15, 0.42), 1.0) * suv["brain"]
    level = np.where(cerebellum < 0, 0.8 * suv["brain"], level)
    level *= np.where(np.abs(x) < 1.5, 0.7, 1.0)  # falx
    painter.canvas.paint(region, np.minimum(brain, cerebellum) < 0, VALUES["brain"], level)
    sinuses = (ellipsoid(xyz, (0, 50, 752), (26, 26, 22)) < 0) & within
    painter.canvas.paint(region, sinuses, VALUES["airways"], 0.25)
    mouth = (ellipsoid(xyz, (0, 52, 712), (30, 34, 14)) < 0) & within  # tongue and floor of the mouth
    painter.paint(region, mouth, "muscle", float(rng.uniform(1.0, 2.2)) * suv["muscle"])
    for side, name in ((1, "parotid_gland_right"), (-1, "parotid_gland_left")):
        gland = ellipsoid(xyz, (side * 49, 0, 728), (12, 16, 24)) + 2 * painter.canvas.field(14.0, region)
        beside = (gland < 0) & (painter.body.skin[region] < -3) & (painter.canvas.labels[region] > 0)
        painter.canvas.paint(region, beside, VALUES[name], suv["parotid_gland"])
        tonsil = ellipsoid(xyz, (side * 16, 22, 712), (8, 9, 13)) < 0
        painter.paint(region, tonsil & within, "tonsils", suv["tonsils"])
        orbit = ellipsoid(xyz, (side * 31, 74, 782), (13, 14, 13))
        painter.canvas.paint(region, (orbit < 0) & (painter.body.skin[region] < -2), VALUES["muscle"], 0.6)
