"""Brain, and what takes up tracer in the soft tissue of head and neck."""

from __future__ import annotations

import numpy as np

from seganypet.data.phantoms.anatomy import VALUES
from seganypet.data.phantoms.painter import Painter
from seganypet.data.phantoms.shapes import ellipsoid, tube


def paint_head(painter: Painter) -> None:
    """Brain, cerebellum, salivary glands, tonsils, air and mouth."""
    suv = painter.suv
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
    for side in (-1, 1):
        orbit = ellipsoid(xyz, (side * 31, 74, 782), (13, 14, 13))
        eye = (orbit < 0) & (painter.body.skin[region] < -2)
        painter.canvas.paint(region, eye, VALUES["muscle"], 0.6 * painter.suv["muscle"])
        lacrimal = (ellipsoid(xyz, (side * 42, 78, 794), (5, 6, 5)) < 0) & (painter.body.skin[region] < -2)
        painter.canvas.paint(region, lacrimal, VALUES["muscle"], suv["lacrimal_gland"])
    paint_neck_uptake(painter)


def paint_neck_uptake(painter: Painter, known: frozenset[str] = frozenset()) -> None:
    """Salivary glands, tonsils, tongue, larynx and tense muscles: what lies beside neck nodes in a real FDG scan.

    Each is as active on one side as on the other only by chance, and in some patients hardly seen.

    Args:
        painter: whose canvas is painted, where fat and muscle are.
        known: labels that a map has already painted.
    """
    rng, suv = painter.rng, painter.suv
    region = painter.canvas.region((-90, -80, 600), (90, 100, 790))
    xyz = painter.canvas.coordinates(region)
    if 0 in painter.canvas.labels[region].shape:
        return
    within = painter.body.core[region] < 0
    rough = 2 * painter.canvas.field(14.0, region)
    mouth = (ellipsoid(xyz, (0, 52, 712), (30, 34, 14)) + rough < 0) & within  # tongue and floor of the mouth
    painter.paint(region, mouth, "muscle", float(rng.uniform(1.0, 2.6)) * suv["muscle"])
    adenoid = (ellipsoid(xyz, (0, 8, 742), (13, 6, 9)) < 0) & within
    painter.paint(region, adenoid, "tonsils", float(rng.uniform(0.4, 1.0)) * suv["tonsils"])
    cords = (np.abs(ellipsoid(xyz, (0, 26, 652), (10, 13, 7))) < 3.5) & within
    painter.paint(region, cords, "muscle", float(rng.choice([1.2, 2.0, 4.0])) * suv["muscle"])
    for side, parotid in ((1, "parotid_gland_right"), (-1, "parotid_gland_left")):
        if parotid not in known:
            gland = ellipsoid(xyz, (side * 49, 0, 728), (12, 16, 24)) + rough
            beside = (gland < 0) & (painter.body.skin[region] < -3) & (painter.canvas.labels[region] > 0)
            painter.canvas.paint(region, beside, VALUES[parotid], suv["parotid_gland"])
        below_jaw = ellipsoid(xyz, (side * 33, 34, 688), (10, 15, 11)) + rough < 0
        painter.paint(region, below_jaw & within, "muscle", float(rng.uniform(0.7, 1.5)) * suv["parotid_gland"])
        under_tongue = ellipsoid(xyz, (side * 13, 58, 698), (6, 13, 6)) < 0
        painter.paint(region, under_tongue & within, "muscle", float(rng.uniform(0.6, 1.5)) * suv["parotid_gland"])
        tonsil = ellipsoid(xyz, (side * 16, 22, 712), (8, 9, 13)) < 0
        painter.paint(region, tonsil & within, "tonsils", suv["tonsils"] * np.exp(rng.normal(0, 0.25)))
        if rng.random() < 0.3:  # a tense sternocleidomastoid
            strand = tube(xyz, [(side * 60, -8, 735), (side * 46, 12, 670), (side * 18, 38, 612)], 7.0) < 0
            painter.paint(region, strand & within, "muscle", float(rng.uniform(1.3, 4.0)) * suv["muscle"])
