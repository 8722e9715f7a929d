"""Lungs, heart, aorta and mediastinum."""

from __future__ import annotations

import numpy as np

from seganypet.data.phantoms.anatomy import LUNG_VALUES, VALUES
from seganypet.data.phantoms.canvas import Region
from seganypet.data.phantoms.painter import Painter
from seganypet.data.phantoms.shapes import box_of, ellipsoid, tube


def paint_lungs(painter: Painter) -> None:
    """Both lungs above the diaphragm, in their five lobes."""
    region = painter.canvas.region((-160, -115, 320), (160, 115, 615))
    xyz = painter.canvas.coordinates(region)
    x, y, z = xyz
    middle = 16 + 15 * np.exp(-(((z - 510) / 45) ** 2)) - 0.1 * np.maximum(0, z - 540)  # half of the mediastinum
    middle = middle + 10 * (y > 15) * (z < 500)
    apex = np.maximum(0, z - 545) * 0.62
    air = (painter.body.core[region] + apex < -18) & (z > painter.dome(x, y)) & (z < 607)
    air &= (np.abs(x) > middle) & (painter.body.spine[region] > 5)
    lobe = lung_lobes(painter, region)
    vessels = 1 + 0.7 * np.exp(-(((np.abs(x) - 32) / 22) ** 2) - ((z - 490) / 45) ** 2 - ((y + 5) / 35) ** 2)
    density = (0.82 - 0.0025 * y + np.maximum(0, 30 - (z - painter.dome(x, y))) * 0.008) * vessels
    painter.canvas.paint(region, air & painter.free(region), lobe, painter.suv["lung"] * density)


def lung_lobes(painter: Painter, region: Region) -> np.ndarray:
    """Label values of the lobes that lung tissue in a region would belong to: the fissures, here bent planes."""
    x, y, z = painter.canvas.coordinates(region)
    oblique = 492 - 1.15 * y + painter.rng.normal(0, 8)
    horizontal = 478 + painter.rng.normal(0, 8) + 0.1 * y
    lower = z < oblique + 4 * painter.canvas.field(50.0, region)
    right = np.where(
        lower,
        VALUES["lung_lower_lobe_right"],
        np.where(z < horizontal, VALUES["lung_middle_lobe_right"], VALUES["lung_upper_lobe_right"]),
    )
    left = np.where(lower, VALUES["lung_lower_lobe_left"], VALUES["lung_upper_lobe_left"])
    return np.where(x > 0, right, left)


def paint_mediastinum(painter: Painter) -> None:
    """Airways, thyroid, great vessels and the loose tissue between the lungs."""
    blood, rng = painter.suv["blood"], painter.rng
    airway = [(0, 18, 690), (0, 14, 640), (0, -8, 560), (0, -14, 508)]
    region = painter.canvas.region(*box_of(airway, 60))
    xyz = painter.canvas.coordinates(region)
    larynx = tube(xyz, [(0, 22, 668), (0, 22, 640)], 17.0) < 0
    painter.paint(region, larynx, "muscle", float(rng.uniform(0.8, 1.8)) * painter.suv["muscle"])
    for side in (-1, 1):
        painter.paint(
            region,
            ellipsoid(xyz, (side * 19, 16, 628), (9, 10, 22)) < 0,
            "thyroid_gland",
            painter.suv["thyroid_gland"],
        )
    tree = np.minimum(
        tube(xyz, airway, [8, 8, 8, 8]),
        np.minimum(tube(xyz, [airway[-1], (38, -14, 482)], 6.5), tube(xyz, [airway[-1], (-42, -16, 478)], 6.0)),
    )
    painter.canvas.paint(region, (tree < 0) & (painter.body.core[region] < -4), VALUES["airways"], 0.15)
    cava = [(22, 22, 560), (28, 20, 500), (26, 10, 440), (24, -8, 380), (20, -16, 300), (14, -12, 205)]
    lung_root = [(-34, 5, 490), (0, 18, 500), (36, 2, 488)]
    neck = [[(side * 20, 14, 565), (side * 30, 4, 620), (side * 32, 2, 690)] for side in (-1, 1)]
    iliac = [[(0, -6, 208), (side * 38, -12, 150), (side * 66, 36, 84), (side * 80, 30, 10)] for side in (-1, 1)]
    for points, radius in [(cava, 10.0), (lung_root, 12.0), *((p, 5.0) for p in neck), *((p, 6.0) for p in iliac)]:
        region = painter.canvas.region(*box_of(points, radius + 3))
        painter.paint(region, tube(painter.canvas.coordinates(region), points, radius) < 0, "vessels", blood)
    region = painter.canvas.region((-60, -60, 400), (60, 95, 575))
    x, y, z = painter.canvas.coordinates(region)
    loose = (painter.canvas.labels[region] == VALUES["muscle"]) & (painter.body.core[region] < -17) & (y > -45)
    painter.canvas.paint(region, loose & (z > painter.dome(x, y)), VALUES["fat"], 0.6 * blood)


def paint_aorta(painter: Painter) -> None:
    """The aorta from its root to its bifurcation, over all but heart, liver, bone and airways."""
    wide = painter.rng.normal(1.0, 0.1)
    points = [(-6, 24, 478), (8, 30, 515), (4, 20, 545), (-12, -12, 552), (-22, -34, 530), (-24, -44, 480)]
    points += [(-20, -42, 420), (-10, -28, 370), (-8, -10, 300), (-6, -6, 250), (-4, -4, 208)]
    radii = np.array([15, 15, 14, 13, 12.5, 12, 11.5, 11, 9.5, 9, 8.5]) * np.clip(wide, 0.8, 1.3)
    region = painter.canvas.region(*box_of(points, 22))
    inside = (tube(painter.canvas.coordinates(region), points, radii) < 0) & (painter.body.core[region] < -10)
    keep = np.isin(painter.canvas.labels[region], [VALUES[n] for n in ("heart", "liver", "skeleton", "airways")])
    painter.canvas.paint(region, inside & ~keep, VALUES["aorta"], painter.suv["blood"])


def paint_heart(painter: Painter) -> None:
    """The heart: blood, the left ventricle's muscle, and a thin right wall."""
    axes = _heart_axes(painter)
    region, _, whole = painter.blob((-20, 26, 447 + 0.8 * painter.breath), (62, 49, 51), axes=axes, turn=4)
    inside = (whole < 0) & (painter.body.core[region] < -14) & (painter.body.spine[region] > 6)
    inside &= np.isin(painter.canvas.labels[region], LUNG_VALUES) | painter.free(region)
    paint_heart_muscle(painter, region, inside, axes)


def paint_heart_muscle(painter: Painter, region: Region, inside: np.ndarray, axes: np.ndarray | None = None) -> None:
    """Fill the voxels `inside`, a heart, with blood and muscle, whose uptake may be patchy.

    Args:
        painter: whose canvas is painted.
        region: slices around the heart.
        inside: the whole heart in that region, bool.
        axes: unit vectors of the left ventricle as rows, the first towards the apex; drawn if None.
    """
    rng, blood = painter.rng, painter.suv["blood"]
    if not inside.any():
        return
    axes = _heart_axes(painter) if axes is None else axes
    xyz = painter.canvas.coordinates(region)
    middle = np.array([float(c[inside].mean()) for c in xyz])
    painter.canvas.paint(region, inside, VALUES["heart"], blood)
    base = middle + 16 * axes[0] + np.array([-8, -6, 0])
    outer, wall = np.array([46, 31, 31]) * rng.normal(1, 0.06), rng.uniform(9, 13)
    muscle = (ellipsoid(xyz, base, outer, axes) < 0) & (ellipsoid(xyz, base - 5 * axes[0], outer - wall, axes) > 0)
    along = (xyz[0] - base[0]) * axes[0, 0] + (xyz[1] - base[1]) * axes[0, 1] + (xyz[2] - base[2]) * axes[0, 2]
    muscle &= (along > -26) & inside
    level = np.full(inside.shape, painter.suv["myocardium"], dtype=np.float32)
    if rng.random() < 0.5:  # a fasting heart
        level *= np.exp(0.5 * painter.canvas.field(28.0, region))
    painter.canvas.paint(region, muscle, VALUES["heart"], np.maximum(level, 0.9 * blood))
    right = (np.abs(ellipsoid(xyz, middle + np.array([28, 10, -6]), (38, 34, 40), axes)) < 3) & inside & ~muscle
    painter.canvas.paint(region, right, VALUES["heart"], np.maximum(0.35 * level, blood))


def _heart_axes(painter: Painter) -> np.ndarray:
    apex = np.array([-0.66, 0.58, -0.46]) + painter.rng.normal(0, 0.09, 3)
    apex /= np.linalg.norm(apex)
    across = np.cross(apex, [0, 0, 1.0])
    across /= np.linalg.norm(across)
    return np.stack([apex, across, np.cross(apex, across)])
