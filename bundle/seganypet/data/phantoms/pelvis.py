"""Bladder and what lies beside it."""

from __future__ import annotations

import numpy as np

from seganypet.data.phantoms.anatomy import VALUES
from seganypet.data.phantoms.painter import Painter
from seganypet.data.phantoms.shapes import box_of, ellipsoid, tube


def paint_pelvis(painter: Painter) -> None:
    """Bladder, and prostate and testes or uterus."""
    rng, suv = painter.rng, painter.suv
    fill = float(np.exp(rng.uniform(np.log(0.5), np.log(1.1))))
    rise = 46 if painter.body.male else 38
    height = rise + 30 * fill
    region, _, bladder = painter.blob((0, 22, height), (46 * fill, 36 * fill, 32 * fill), turn=5, rough_mm=2.0)
    full = (bladder < 0) & (painter.body.core[region] < -8)
    if painter.body.male:
        gland, _, prostate = painter.blob((0, 10, 36), (23, 17, 17), turn=5, rough_mm=1.5)
        painter.paint(gland, prostate < 0, "prostate", suv["prostate"])
        scrotum = [(-17, 66, -26), (17, 66, -26)]
        bag = painter.canvas.region(*box_of(scrotum, 34))
        xyz = painter.canvas.coordinates(bag)
        skin = tube(xyz, scrotum, 25.0) < 0
        outside = painter.canvas.labels[bag] == 0
        painter.canvas.paint(bag, skin & outside, VALUES["fat"], 1.5 * suv["fat"])
        painter.body.skin[bag] = np.minimum(painter.body.skin[bag], np.where(skin, -5, 1e3))
        for middle in scrotum:
            painter.paint(bag, ellipsoid(xyz, middle, (12, 13, 20)) < 0, "testes", suv["testes"])
    else:
        womb, _, uterus = painter.blob((0, -8, height + 26), (25, 24, 34), turn=12, rough_mm=2.0)
        painter.paint(womb, uterus < 0, "uterus", suv["uterus"])
    replaced = painter.free(region) | (painter.canvas.labels[region] == VALUES["uterus"])
    painter.canvas.paint(region, full & replaced, VALUES["urinary_bladder"], suv["urinary_bladder"])
