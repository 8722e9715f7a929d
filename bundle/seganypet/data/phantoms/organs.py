"""Organs of the chest, the abdomen, the pelvis and the head, painted into a body."""

from __future__ import annotations

import numpy as np

from seganypet.data.phantoms.anatomy import VALUES
from seganypet.data.phantoms.body import Body
from seganypet.data.phantoms.canvas import Region
from seganypet.data.phantoms.shapes import Coordinates, Points, box_of, ellipsoid, join, rotation, tube

_FILLABLE = (VALUES["fat"], VALUES["muscle"])


class Organs:
    """Paints organs into `body`, each moved, turned, resized and bent at random.

    Args:
        body: a body already painted; its canvas' generator is used.
        suv: mean SUV by tissue, as `draw_uptakes` gives it.
        over: label values that an organ may replace; fat and muscle, unless the ground is something else.
    """

    def __init__(self, body: Body, suv: dict[str, float], over: tuple[int, ...] = _FILLABLE) -> None:
        self.body, self.canvas, self.suv, self.over = body, body.canvas, suv, over
        self.rng = body.canvas.rng
        self.breath = self.rng.uniform(-16, 12)  # how much lower the diaphragm stands

    def paint_all(self) -> None:
        """Every organ, front ones over those behind."""
        self.lungs()
        self.mediastinum()
        self.heart()
        self.liver_and_gallbladder()
        self.spleen()
        self.kidneys()
        self.stomach_and_pancreas()
        self.pelvis()
        self.bowel()
        self.aorta()
        self.head()

    # shapes -----------------------------------------------------------------------------------------------------

    def _jitter(self, centre: tuple, radii: tuple, shift_mm: float = 4.0, size: float = 0.09) -> tuple:
        whole = np.exp(self.rng.normal(0, size))
        moved = np.asarray(centre) + self.rng.normal(0, shift_mm, 3)
        return moved, np.asarray(radii) * whole * np.exp(self.rng.normal(0, size / 2, 3))

    def _blob(
        self, centre: tuple, radii: tuple, *, turn: float = 8.0, rough_mm: float = 2.5, axes: np.ndarray | None = None
    ) -> tuple[Region, Coordinates, np.ndarray]:
        """A jittered ellipsoid with a rough surface: its region, coordinates and implicit values."""
        middle, extent = self._jitter(centre, radii)
        frame = rotation(self.rng, turn) if axes is None else axes @ rotation(self.rng, turn)
        reach = float(max(extent)) + 3 * rough_mm
        region = self.canvas.region(middle - reach, middle + reach)
        xyz = self.canvas.coordinates(region)
        shape = ellipsoid(xyz, middle, extent, frame)
        return region, xyz, shape + np.float32(rough_mm) * self.canvas.field(float(max(14.0, min(extent))), region)

    def _free(self, region: Region) -> np.ndarray:
        labels = self.canvas.labels[region]
        free = labels == self.over[0]
        for value in self.over[1:]:
            free |= labels == value
        return free

    def _paint(self, region: Region, inside: np.ndarray, name: str, suv: float | np.ndarray) -> None:
        self.canvas.paint(region, inside & self._free(region), VALUES[name], suv)

    def _dome(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Height of the diaphragm."""
        right = 48 * np.exp(-(((x - 66) / 62) ** 2) - ((y - 8) / 62) ** 2)
        left = 34 * np.exp(-(((x + 72) / 56) ** 2) - ((y - 4) / 62) ** 2)
        recess = 0.55 * np.maximum(0, -y - 5) + 0.5 * np.maximum(0, np.abs(x) - 95)
        return np.float32(398 + self.breath) + right + left - recess

    # chest ------------------------------------------------------------------------------------------------------

    def lungs(self) -> None:
        region = self.canvas.region((-160, -115, 320), (160, 115, 615))
        xyz = self.canvas.coordinates(region)
        x, y, z = xyz
        middle = 16 + 15 * np.exp(-(((z - 510) / 45) ** 2)) - 0.1 * np.maximum(0, z - 540)  # half of the mediastinum
        middle = middle + 10 * (y > 15) * (z < 500)
        apex = np.maximum(0, z - 545) * 0.62
        air = (self.body.core[region] + apex < -18) & (z > self._dome(x, y)) & (z < 607)
        air &= (np.abs(x) > middle) & (self.body.spine[region] > 5)
        oblique = 492 - 1.15 * y + self.rng.normal(0, 8)
        horizontal = 478 + self.rng.normal(0, 8) + 0.1 * y
        lower = z < oblique + 4 * self.canvas.field(50.0, region)
        right = np.where(lower, 15, np.where(z < horizontal, 14, 13))
        lobe = np.where(x > 0, right, np.where(lower, 12, 11))
        vessels = 1 + 0.7 * np.exp(-(((np.abs(x) - 32) / 22) ** 2) - ((z - 490) / 45) ** 2 - ((y + 5) / 35) ** 2)
        density = (0.82 - 0.0025 * y + np.maximum(0, 30 - (z - self._dome(x, y))) * 0.008) * vessels
        self.canvas.paint(region, air & self._free(region), lobe, self.suv["lung"] * density)

    def mediastinum(self) -> None:
        blood, rng = self.suv["blood"], self.rng
        airway = [(0, 18, 690), (0, 14, 640), (0, -8, 560), (0, -14, 508)]
        region = self.canvas.region(*box_of(airway, 60))
        xyz = self.canvas.coordinates(region)
        larynx = tube(xyz, [(0, 22, 668), (0, 22, 640)], 17.0) < 0
        self._paint(region, larynx, "muscle", float(rng.uniform(0.8, 1.8)) * self.suv["muscle"])
        for side in (-1, 1):
            self._paint(
                region,
                ellipsoid(xyz, (side * 19, 16, 628), (9, 10, 22)) < 0,
                "thyroid_gland",
                self.suv["thyroid_gland"],
            )
        tree = np.minimum(
            tube(xyz, airway, [8, 8, 8, 8]),
            np.minimum(tube(xyz, [airway[-1], (38, -14, 482)], 6.5), tube(xyz, [airway[-1], (-42, -16, 478)], 6.0)),
        )
        self.canvas.paint(region, (tree < 0) & (self.body.core[region] < -4), VALUES["airways"], 0.15)
        cava = [(22, 22, 560), (28, 20, 500), (26, 10, 440), (24, -8, 380), (20, -16, 300), (14, -12, 205)]
        lung_root = [(-34, 5, 490), (0, 18, 500), (36, 2, 488)]
        neck = [[(side * 20, 14, 565), (side * 30, 4, 620), (side * 32, 2, 690)] for side in (-1, 1)]
        iliac = [[(0, -6, 208), (side * 38, -12, 150), (side * 66, 36, 84), (side * 80, 30, 10)] for side in (-1, 1)]
        for points, radius in [(cava, 10.0), (lung_root, 12.0), *((p, 5.0) for p in neck), *((p, 6.0) for p in iliac)]:
            region = self.canvas.region(*box_of(points, radius + 3))
            self._paint(region, tube(self.canvas.coordinates(region), points, radius) < 0, "vessels", blood)
        region = self.canvas.region((-60, -60, 400), (60, 95, 575))
        x, y, z = self.canvas.coordinates(region)
        loose = (self.canvas.labels[region] == VALUES["muscle"]) & (self.body.core[region] < -17) & (y > -45)
        self.canvas.paint(region, loose & (z > self._dome(x, y)), VALUES["fat"], 0.6 * blood)

    def aorta(self) -> None:
        wide = self.rng.normal(1.0, 0.1)
        points = [(-6, 24, 478), (8, 30, 515), (4, 20, 545), (-12, -12, 552), (-22, -34, 530), (-24, -44, 480)]
        points += [(-20, -42, 420), (-10, -28, 370), (-8, -10, 300), (-6, -6, 250), (-4, -4, 208)]
        radii = np.array([15, 15, 14, 13, 12.5, 12, 11.5, 11, 9.5, 9, 8.5]) * np.clip(wide, 0.8, 1.3)
        region = self.canvas.region(*box_of(points, 22))
        inside = (tube(self.canvas.coordinates(region), points, radii) < 0) & (self.body.core[region] < -10)
        keep = np.isin(self.canvas.labels[region], [VALUES[n] for n in ("heart", "liver", "skeleton", "airways")])
        self.canvas.paint(region, inside & ~keep, VALUES["aorta"], self.suv["blood"])

    def heart(self) -> None:
        rng, blood = self.rng, self.suv["blood"]
        apex = np.array([-0.66, 0.58, -0.46]) + rng.normal(0, 0.09, 3)
        apex /= np.linalg.norm(apex)
        across = np.cross(apex, [0, 0, 1.0])
        across /= np.linalg.norm(across)
        axes = np.stack([apex, across, np.cross(apex, across)])
        height = 447 + 0.8 * self.breath
        region, xyz, whole = self._blob((-20, 26, height), (58, 45, 47), axes=axes, turn=4)
        inside = (whole < 0) & (self.body.core[region] < -14) & (self.body.spine[region] > 6)
        lungs = (self.canvas.labels[region] >= 11) & (self.canvas.labels[region] <= 15)
        inside &= lungs | self._free(region)
        self.canvas.paint(region, inside, VALUES["heart"], blood)
        base = np.array([-20, 26, height]) + 16 * apex + np.array([-8, -6, 0])
        outer, wall = np.array([46, 31, 31]) * rng.normal(1, 0.06), rng.uniform(9, 13)
        muscle = (ellipsoid(xyz, base, outer, axes) < 0) & (ellipsoid(xyz, base - 5 * apex, outer - wall, axes) > 0)
        along = sum((c - o) * a for c, o, a in zip(xyz, base, apex, strict=True))
        muscle &= (along > -26) & inside
        level = np.full(whole.shape, self.suv["myocardium"], dtype=np.float32)
        if rng.random() < 0.5:  # patchy fasting heart
            level *= np.exp(0.5 * self.canvas.field(28.0, region))
        self.canvas.paint(region, muscle, VALUES["heart"], np.maximum(level, 0.9 * blood))
        right = (np.abs(ellipsoid(xyz, (8, 36, height - 6), (38, 34, 40), axes)) < 3) & inside & ~muscle
        self.canvas.paint(region, right, VALUES["heart"], np.maximum(0.35 * level, blood))

    # abdomen ----------------------------------------------------------------------------------------------------

    def liver_and_gallbladder(self) -> None:
        rng = self.rng
        size = np.exp(rng.normal(0, 0.07))
        region = self.canvas.region((-140, -115, 200), (150, 120, 460))
        xyz = self.canvas.coordinates(region)
        x, y, z = xyz
        right = ellipsoid(xyz, (70, 0, 358), (82 * size, 78 * size, 92 * size), rotation(rng, 6))
        left = ellipsoid(xyz, (rng.uniform(-20, 5), 38, 388), (76 * size, 40 * size, 36 * size), rotation(rng, 10))
        shape = join(right, left, 25) + 4 * self.canvas.field(38.0, region)
        step = 1 / (1 + np.exp((x - rng.uniform(45, 75)) / 14))  # from the right lobe's tip up to the left lobe
        under = 268 + rng.normal(0, 10) + 78 * step + 0.2 * np.maximum(0, 40 - x) - 0.3 * (y - 10)
        shape = np.maximum(shape, under - z + 5 * self.canvas.field(30.0, region))
        inside = (shape < 0) & (self.body.core[region] < -16) & (z <= self._dome(x, y)) & (self.body.spine[region] > 12)
        self._paint(region, inside, "liver", self.suv["liver"])
        region, _, shape = self._blob((52, 46, 300), (13, 15, 26), turn=15)
        inside = (shape < 0) & (self.body.core[region] < -16)
        swallow = inside & (self.canvas.labels[region] == VALUES["liver"])
        self.canvas.paint(
            region, swallow | (inside & self._free(region)), VALUES["gallbladder"], self.suv["gallbladder"]
        )

    def spleen(self) -> None:
        region, xyz, shape = self._blob((-98, -42, 372 + 0.8 * self.breath), (27, 48, 50), turn=14)
        hilum = ellipsoid(xyz, (-62, -18, 372 + 0.8 * self.breath), (27, 34, 40))
        x, y, z = xyz
        inside = (np.maximum(shape, -hilum) < 0) & (self.body.core[region] < -15) & (z < self._dome(x, y) + 4)
        self._paint(region, inside, "spleen", self.suv["spleen"])

    def kidneys(self) -> None:
        rng = self.rng
        for side, name, height in ((1, "kidney_right", 288), (-1, "kidney_left", 304)):
            tilt = np.deg2rad(rng.normal(14, 5)) * side
            axes = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
            middle, radii = self._jitter((side * 66, -42, height + 0.6 * self.breath), (29, 27, 55))
            region = self.canvas.region(middle - 70, middle + 70)
            xyz = self.canvas.coordinates(region)
            shape = ellipsoid(xyz, middle, radii, axes) + 2 * self.canvas.field(25.0, region)
            medial = middle + np.array([-side * 30.0, 6, 0])
            shape = np.maximum(shape, -ellipsoid(xyz, medial, (15, 16, 18)))
            inside = (shape < 0) & (self.body.core[region] < -10)
            inside &= self._free(region) | (self.canvas.labels[region] == VALUES["liver"])
            sinus = ellipsoid(xyz, middle + np.array([-side * 9.0, 3, 0]), 0.5 * radii, axes)
            cortex = self.suv["kidney"] * np.where(sinus < 0, 0.75, 1.0)
            self.canvas.paint(region, inside, VALUES[name], cortex)
            calyces = (sinus < 2) & (self.canvas.field(14.0, region) > rng.uniform(-0.2, 1.2))
            hot = self.suv["renal_pelvis"] * np.exp(rng.normal(0, 0.3))
            self.canvas.paint(region, inside & calyces, VALUES[name], hot)
            self._ureter(side, medial, hot)

    def _ureter(self, side: int, start: np.ndarray, hot: float) -> None:
        points: Points = [
            start,
            (side * 44, -22, 220),
            (side * 42, -18, 160),
            (side * 48, -20, 110),
            (side * 22, -2, 74),
        ]
        first = self.rng.uniform(60, 260)
        region = self.canvas.region(*box_of(points, 8))
        xyz = self.canvas.coordinates(region)
        filled = (xyz[2] > first) & (xyz[2] < first + self.rng.uniform(0, 90))  # peristalsis fills a part
        self._paint(region, (tube(xyz, points, 3.2) < 0) & filled, "ureters", 0.8 * hot)

    def stomach_and_pancreas(self) -> None:
        rng, suv = self.rng, self.suv
        body = [(-52, -4, 398), (-66, 28, 362), (-50, 48, 322), (-8, 50, 302), (22, 40, 308)]
        points = np.asarray(body) + rng.normal(0, 4, (5, 3)) + [0, 0, 0.8 * self.breath]
        radii = np.array([28, 31, 26, 17, 10]) * rng.uniform(0.7, 1.15)
        region = self.canvas.region(*box_of(points, 45))
        shape = tube(self.canvas.coordinates(region), points, radii) + 3 * self.canvas.field(25.0, region)
        inside = (shape < 0) & (self.body.core[region] < -14)
        content = rng.uniform(0.1, 0.6)
        wall = rng.uniform(6, 10)
        self._paint(region, inside, "stomach", np.where(shape > -wall, suv["stomach"], content))
        points = np.array([(38, 14, 282), (20, 14, 306), (-20, 6, 318), (-72, -14, 338)]) + rng.normal(0, 4, (4, 3))
        region = self.canvas.region(*box_of(points, 20))
        shape = tube(self.canvas.coordinates(region), points, [15, 12, 10, 9]) + 2 * self.canvas.field(14.0, region)
        self._paint(region, shape < 0, "pancreas", suv["pancreas"])

    def bowel(self) -> None:
        """Colon and loops of small bowel in the abdominal cavity, whose rest is turned to fat."""
        rng, core = self.rng, self.body.core
        region = self.canvas.region((-135, -60, 60), (135, 100, 400))
        x, y, z = self.canvas.coordinates(region)
        back = -12 + 0.0011 * (np.abs(x) - 70) ** 2 - 26 * (np.abs(x) > 62)
        cavity = (core[region] < -13) & (y > back) & (z > 84) & (z < 385) & (z < self._dome(x, y))
        cavity &= (np.abs(x) < 70 + 0.5 * np.maximum(0, z - 130)) & self._free(region)
        loops = np.clip(0.5 + 0.8 * self.canvas.field(13.0, region), 0, 1)  # mesentery, vessels, empty loops
        self.canvas.paint(region, cavity, VALUES["fat"], self.suv["fat"] + loops * 0.35 * self.suv["bowel"])
        free_z = rng.normal(0, 10, 6)
        colon = [(78, 6, 165), (86, 4, 215), (90, 8, 272), (52, 56, 262 + free_z[0]), (0, 66, 250 + 2 * free_z[1])]
        colon += [(-52, 56, 278 + free_z[2]), (-98, -2, 330 + free_z[3]), (-102, -10, 260), (-96, 0, 190)]
        colon += [(-70, 26, 152), (-28, 24, 142 + free_z[4]), (12, 6, 136), (0, -34, 122)]
        rectum = [(0, -34, 122), (0, -52, 92), (0, -46, 60), (0, -34, 28)]
        coils = self._coils(rng.uniform((-68, 5, 112), (68, 62, 300), (int(rng.integers(22, 34)), 3)))
        parts: list[tuple[Points, float, float]] = [
            (colon, rng.uniform(15, 21), 7.0),
            (rectum, 15.0, 8.0),
            (coils, 11.5, 9.0),
        ]
        for points, radius, wall in parts:
            level = (
                self.suv["bowel"] * np.exp(rng.normal(0, 0.25)) * (rng.uniform(1.5, 3) if rng.random() < 0.12 else 1)
            )
            box = self.canvas.region(*box_of(points, radius + 8))
            shape = tube(self.canvas.coordinates(box), points, radius) + 3 * self.canvas.field(18.0, box)
            inside = (shape < 0) & (core[box] < -11) & self._free(box)
            patchy = level * np.exp(np.clip(0.5 * self.canvas.field(40.0, box), -1.0, 0.9))
            content = np.where(self.canvas.field(45.0, box) > 0.3, 0.3, 0.6) * patchy
            self.canvas.paint(box, inside, VALUES["bowel"], np.where(shape > -wall, patchy, content))

    def _coils(self, points: np.ndarray) -> list[np.ndarray]:
        """The points in the order of a walk from each to the nearest not yet seen."""
        left = list(points)
        walk = [left.pop()]
        while left:
            nearest = int(np.argmin([np.sum((p - walk[-1]) ** 2) for p in left]))
            walk.append(left.pop(nearest))
        return walk

    # pelvis and head --------------------------------------------------------------------------------------------

    def pelvis(self) -> None:
        rng, suv = self.rng, self.suv
        fill = float(np.exp(rng.uniform(np.log(0.5), np.log(1.1))))
        rise = 46 if self.body.patient.male else 38
        height = rise + 30 * fill
        region, _, bladder = self._blob((0, 22, height), (46 * fill, 36 * fill, 32 * fill), turn=5, rough_mm=2.0)
        full = (bladder < 0) & (self.body.core[region] < -8)
        if self.body.patient.male:
            gland, _, prostate = self._blob((0, 10, 36), (23, 17, 17), turn=5, rough_mm=1.5)
            self._paint(gland, prostate < 0, "prostate", suv["prostate"])
            scrotum = [(-17, 66, -26), (17, 66, -26)]
            bag = self.canvas.region(*box_of(scrotum, 34))
            xyz = self.canvas.coordinates(bag)
            skin = tube(xyz, scrotum, 25.0) < 0
            outside = self.canvas.labels[bag] == 0
            self.canvas.paint(bag, skin & outside, VALUES["fat"], 1.5 * suv["fat"])
            self.body.skin[bag] = np.minimum(self.body.skin[bag], np.where(skin, -5, 1e3))
            for middle in scrotum:
                self._paint(bag, ellipsoid(xyz, middle, (12, 13, 20)) < 0, "testes", suv["testes"])
        else:
            womb, _, uterus = self._blob((0, -8, height + 26), (25, 24, 34), turn=12, rough_mm=2.0)
            self._paint(womb, uterus < 0, "uterus", suv["uterus"])
        replaced = self._free(region) | (self.canvas.labels[region] == VALUES["uterus"])
        self.canvas.paint(region, full & replaced, VALUES["urinary_bladder"], suv["urinary_bladder"])

    def head(self) -> None:
        rng, suv = self.rng, self.suv
        region = self.canvas.region((-90, -110, 640), (90, 100, 925))
        xyz = self.canvas.coordinates(region)
        x, y, z = xyz
        within = self.body.core[region] < 0
        brain = np.maximum(ellipsoid(xyz, (0, -4, 822), (65, 84, 80)), 772 + 0.25 * y - z)
        cerebellum = np.maximum(ellipsoid(xyz, (0, -48, 780), (52, 34, 28)), -1e3)
        folds = 5 * self.canvas.field(9.0, region)
        white = (ellipsoid(xyz, (0, -4, 822), (51, 68, 62)) + folds < 0) & (brain < -8)
        deep = np.zeros(within.shape, dtype=bool)
        for side in (-1, 1):
            deep |= ellipsoid(xyz, (side * 20, 4, 815), (11, 22, 16)) < 0
        ventricle = ellipsoid(xyz, (0, -2, 832), (9, 30, 11)) < 0
        level = np.where(white & ~deep, np.where(ventricle, 0.15, 0.42), 1.0) * suv["brain"]
        level = np.where(cerebellum < 0, 0.8 * suv["brain"], level)
        level *= np.where(np.abs(x) < 1.5, 0.7, 1.0)  # falx
        self.canvas.paint(region, np.minimum(brain, cerebellum) < 0, VALUES["brain"], level)
        sinuses = (ellipsoid(xyz, (0, 50, 752), (26, 26, 22)) < 0) & within
        self.canvas.paint(region, sinuses, VALUES["airways"], 0.25)
        mouth = (ellipsoid(xyz, (0, 52, 712), (30, 34, 14)) < 0) & within  # tongue and floor of the mouth
        self._paint(region, mouth, "muscle", float(rng.uniform(1.0, 2.2)) * suv["muscle"])
        for side, name in ((1, "parotid_gland_right"), (-1, "parotid_gland_left")):
            gland = ellipsoid(xyz, (side * 49, 0, 728), (12, 16, 24)) + 2 * self.canvas.field(14.0, region)
            beside = (gland < 0) & (self.body.skin[region] < -3) & (self.canvas.labels[region] > 0)
            self.canvas.paint(region, beside, VALUES[name], suv["parotid_gland"])
            tonsil = ellipsoid(xyz, (side * 16, 22, 712), (8, 9, 13)) < 0
            self._paint(region, tonsil & within, "tonsils", suv["tonsils"])
            orbit = ellipsoid(xyz, (side * 31, 74, 782), (13, 14, 13))
            self.canvas.paint(region, (orbit < 0) & (self.body.skin[region] < -2), VALUES["muscle"], 0.6)
