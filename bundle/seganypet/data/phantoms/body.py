"""The body that holds the organs: outline, fat, muscle and skeleton."""

from __future__ import annotations

import numpy as np

from seganypet.data.phantoms.anatomy import VALUES
from seganypet.data.phantoms.canvas import Canvas
from seganypet.data.phantoms.patient import Patient
from seganypet.data.phantoms.shapes import box_of, ellipsoid, join, tube

# Height above the crotch, then half width, half depth and centre (y) of the trunk under its fat, in mm.
_TRUNK = np.array(
    [
        [-70, 150, 72, 2],
        [-20, 160, 82, 0],
        [30, 164, 92, -4],
        [80, 164, 96, -2],
        [140, 150, 92, 2],
        [200, 136, 88, 4],
        [260, 136, 89, 4],
        [330, 141, 95, 2],
        [420, 148, 103, 0],
        [500, 156, 104, -2],
        [550, 162, 92, -8],
        [585, 160, 80, -14],
        [610, 122, 68, -16],
        [632, 78, 58, -14],
        [660, 58, 55, -8],
        [700, 55, 58, 0],
        [740, 40, 50, 4],
    ],
    dtype=np.float32,
)
_SPINE = [(0, -66, 70), (0, -70, 105), (0, -56, 140), (0, -38, 175), (0, -34, 220), (0, -40, 270), (0, -50, 320)]
_SPINE += [(0, -60, 380), (0, -68, 440), (0, -68, 500), (0, -58, 560), (0, -38, 610), (0, -22, 650), (0, -16, 700)]
_SPINE += [(0, -16, 735)]
_FEMUR = [(92, 8, 66), (112, 0, 58), (122, -6, 40), (104, 0, -60), (85, -2, -395)]


class Body:
    """Outline and depth of the body on a canvas, painted with fat, muscle, skin and bone.

    Attributes:
        skin: about the distance to the skin in mm, negative inside [I, J, K].
        core: about the distance to the trunk's muscles, negative inside: the skin less the fat.
        spine: about the distance to the column of vertebral bodies.
    """

    def __init__(self, canvas: Canvas, patient: Patient, suv: dict[str, float]) -> None:
        self.canvas, self.patient, self.suv, self.male = canvas, patient, suv, patient.male
        self.core = self._trunk() + 2.5 * canvas.field(45.0)
        thickness = patient.fat_mm * (1 + 0.25 * canvas.field(70.0))
        z = canvas.axes[2]
        belly = 0.35 + 0.65 * np.exp(-(((z - 190) / 190) ** 2)) if patient.male else 0.4 + 0.6 * _bump(z, 120, 190)
        self.skin = self.core - np.clip(thickness * belly.astype(np.float32), 3, 55)
        self.limb_bone = np.full(canvas.shape, 1e3, dtype=np.float32)
        self._limbs()
        self._head()
        if not patient.male:
            self._breasts()
        self._soft_tissue()
        self.spine = np.full(canvas.shape, 1e3, dtype=np.float32)
        self._skeleton()

    def _trunk(self) -> np.ndarray:
        x, y, _ = self.canvas.xyz
        z = self.canvas.axes[2]
        width, depth, centre = (np.interp(z, _TRUNK[:, 0], column).astype(np.float32) for column in _TRUNK[:, 1:].T)
        if not self.patient.male:  # wider hips, narrower waist and shoulders
            width = width * (1 + 0.05 * _bump(z, 50, 90) - 0.06 * _bump(z, 240, 80) - 0.07 * _bump(z, 560, 90))
        u, v = np.abs(x) / width, np.abs(y - centre) / depth
        u *= u * np.sqrt(u)  # exponent 2.5: between an ellipse and a box
        v *= v * np.sqrt(v)
        radius = (u + v) ** np.float32(0.4)
        return np.maximum((radius - 1) * np.minimum(width, depth), np.maximum(-30 - z, z - 735))

    def _limbs(self) -> None:
        rng, fat = self.canvas.rng, self.patient.fat_mm
        for side in (-1, 1):
            spread = rng.uniform(0.9, 1.15)
            thigh = [(side * 84, 0, 50), (side * 86 * spread, 2, -180), (side * 82 * spread, 2, -400)]
            shin = [(side * 82 * spread, 0, -400), (side * 78 * spread, -12, -520), (side * 74 * spread, -6, -790)]
            foot = [(side * 74 * spread, -8, -790), (side * 82 * spread, 70, -815)]
            self._limb(thigh, [78, 66, 50], fat_mm=0.6 * fat, rounding_mm=35)
            self._limb(shin, [49, 46, 32], fat_mm=0.3 * fat, rounding_mm=15)
            self._limb(foot, [32, 24], fat_mm=2, rounding_mm=10)
            self._bone([(side * p[0], p[1], p[2]) for p in _FEMUR], [24, 15, 17, 14, 21])
            self._bone([(shin[0][0], 12, -415), (shin[1][0], 8, -520), (shin[2][0], 2, -780)], [24, 13, 14])
            if self.patient.arms == "up":
                elbow = (side * rng.uniform(215, 265), rng.uniform(0, 40), rng.uniform(760, 820))
                wrist = (side * rng.uniform(70, 150), rng.uniform(10, 60), rng.uniform(950, 1010))
            else:
                elbow = (side * rng.uniform(235, 262), rng.uniform(-40, 0), rng.uniform(270, 310))
                wrist = (side * rng.uniform(205, 250), rng.uniform(-10, 60), rng.uniform(10, 60))
            shoulder = (side * 158, -12, 572)
            self._limb([shoulder, elbow], [46, 36], fat_mm=0.35 * fat, rounding_mm=25)
            self._limb([elbow, wrist], [36, 23], fat_mm=0.2 * fat, rounding_mm=8)
            self._bone([shoulder, elbow], [22, 12])
            self._bone([elbow, wrist], [14, 11])

    def _limb(self, points: list, radii: list[float], *, fat_mm: float, rounding_mm: float) -> None:
        box = self.canvas.region(*box_of(points, max(radii) + fat_mm + rounding_mm + 8))
        muscle = tube(self.canvas.coordinates(box), points, radii) + 2 * self.canvas.field(40.0, box)
        self.core[box] = join(self.core[box], muscle, rounding_mm)
        self.skin[box] = join(self.skin[box], muscle - np.float32(fat_mm), rounding_mm)

    def _bone(self, points: list, radii: list[float]) -> None:
        box = self.canvas.region(*box_of(points, max(radii) + 4))
        bone = tube(self.canvas.coordinates(box), points, radii)
        self.limb_bone[box] = np.minimum(self.limb_bone[box], bone)

    def _head(self) -> None:
        box = self.canvas.region((-95, -110, 650), (95, 115, 925))
        xyz = self.canvas.coordinates(box)
        head = ellipsoid(xyz, (0, -4, 815), (77, 97, 96))
        head = join(head, ellipsoid(xyz, (0, 42, 745), (60, 56, 74)), 25)
        head = join(head, ellipsoid(xyz, (0, 98, 768), (14, 16, 24)), 12)  # nose
        self.core[box] = join(self.core[box], head + 5, 15)
        self.skin[box] = join(self.skin[box], head, 15)

    def _breasts(self) -> None:
        size = self.canvas.rng.uniform(0.65, 1.1) * (0.8 + self.patient.fat_mm / 90)
        for side in (-1, 1):
            box = self.canvas.region((min(0, side * 160), 40, 380), (max(0, side * 160), 220, 600))
            xyz = self.canvas.coordinates(box)
            breast = ellipsoid(xyz, (side * 80, 84, 490), (62 * size, 52 * size, 66 * size))
            self.skin[box] = join(self.skin[box], breast, 25)

    def _soft_tissue(self) -> None:
        canvas, suv = self.canvas, self.suv
        whole = (slice(None),) * 3
        canvas.activity.fill(suv["air"])
        canvas.paint(whole, self.skin < 0, VALUES["fat"], suv["fat"])
        canvas.paint(whole, (self.skin < 0) & (self.skin > -3.5), VALUES["fat"], suv["skin"])
        seams = np.abs(canvas.field(35.0)) < 0.12  # fat between muscles
        canvas.paint(whole, self.core < 0, VALUES["muscle"], suv["muscle"])
        canvas.paint(whole, (self.core < -4) & seams, VALUES["muscle"], 0.5 * (suv["muscle"] + suv["fat"]))

    def _skeleton(self) -> None:
        canvas, suv = self.canvas, self.suv
        marrow, cortical = suv["marrow"], suv["cortical_bone"]
        bone = VALUES["skeleton"]
        whole = (slice(None),) * 3

        limb = (self.limb_bone < 0) & (self.skin < 0)
        share = np.clip(1 - np.maximum(0, 40 - canvas.axes[2]) / 160, 0.0, 1.0).astype(np.float32)
        canvas.paint(whole, limb, bone, np.broadcast_to(cortical + share * (0.8 * marrow - cortical), canvas.shape))

        box = canvas.region(*box_of(_SPINE, 75))
        x, y, z = canvas.coordinates(box)
        radii = np.interp([p[2] for p in _SPINE], [70, 220, 450, 735], [26, 24, 18, 12])
        self.spine[box] = tube((x, y, z), _SPINE, radii)
        disc = np.cos(2 * np.pi * z / np.float32(canvas.rng.uniform(30, 35))) > 0.86
        canvas.paint(box, self.spine[box] < 0, bone, np.where(disc, 0.55 * marrow, marrow))
        arch = [(p[0], p[1] - r - 14, p[2]) for p, r in zip(_SPINE, radii, strict=True)][3:]
        behind = (tube((x, y, z), arch, 9.0) < 0) | (tube((x, y, z), [(0, p[1] - 16, p[2] - 8) for p in arch], 6.0) < 0)
        canvas.paint(box, behind & (self.core[box] < 0), bone, 0.75 * marrow)
        canal = tube((x, y, z), [(p[0], p[1] - r - 4, p[2]) for p, r in zip(_SPINE, radii, strict=True)][4:], 6.5) < 0
        canvas.paint(box, canal, VALUES["spinal_cord"], suv["spinal_cord"])

        box = canvas.region((-165, -120, -40), (165, 110, 225))  # pelvis: two wings, sacrum, rami
        xyz = canvas.coordinates(box)
        x, y, z = xyz
        bowl = np.abs(ellipsoid(xyz, (0, 2, 172), (120, 78, 92))) < 6
        wing = bowl & (np.abs(x) > 45 + 0.15 * np.abs(z - 150)) & (z > 66) & (z < 208) & (y < 50)
        pelvis = wing | (ellipsoid(xyz, (0, -72, 108), (46, 17, 42)) < 0)
        for side in (-1, 1):
            rami = [(side * 92, 6, 68), (side * 55, 42, 52), (side * 12, 52, 38)]
            ischium = [(side * 80, -8, 66), (side * 62, -42, 14), (side * 40, 10, 8), (side * 14, 48, 26)]
            pelvis |= (tube(xyz, rami, [17, 9, 9]) < 0) | (tube(xyz, ischium, [20, 16, 8, 8]) < 0)
        canvas.paint(box, pelvis & (self.core[box] < -3), bone, 0.9 * marrow)
        self._chest_and_skull(bone, marrow, cortical)

    def _chest_and_skull(self, bone: int, marrow: float, cortical: float) -> None:
        canvas = self.canvas
        box = canvas.region((-175, -125, 365), (175, 125, 615))
        xyz = canvas.coordinates(box)
        x, y, z = xyz
        core = self.core[box]
        height = z + np.float32(0.42) * y  # ribs fall towards the front
        rib = (np.cos(2 * np.pi * height / np.float32(27.0)) > 0.25) & (core < -9) & (core > -17)
        rib &= (height > 375) & (height < 585) & ((np.abs(x) > 40) | (y < 0)) & (z < 590)
        rib &= (y < 60) | (np.abs(x) > 60)  # cartilage
        canvas.paint(box, rib, bone, 0.6 * marrow)
        sternum = (np.abs(x) < 17) & (core < -6) & (core > -17) & (y > 40) & (z > 425) & (z < 565)
        canvas.paint(box, sternum, bone, 0.85 * marrow)
        for side in (-1, 1):
            clavicle = tube(xyz, [(side * 18, 46, 572), (side * 70, 34, 590), (side * 140, -6, 600)], 7.0)
            blade = [(side * 148, -22, 580), (side * 110, -66, 560), (side * 92, -82, 470)]
            scapula = tube(xyz, blade, [10, 8, 5])
            canvas.paint(box, ((clavicle < 0) | (scapula < 0)) & (core < -3), bone, 0.6 * marrow)

        box = canvas.region((-95, -110, 650), (95, 115, 925))
        xyz = canvas.coordinates(box)
        skull = ellipsoid(xyz, (0, -4, 815), (71, 91, 90))
        shell = (np.abs(skull) < 4) & (xyz[2] > 750)
        jaw = tube(xyz, [(-50, 12, 745), (-46, 30, 702), (0, 82, 690), (46, 30, 702), (50, 12, 745)], 8.0) < 0
        canvas.paint(box, (shell | jaw) & (self.core[box] < 0), bone, cortical)


def _bump(z: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.exp(-(((z - centre) / width) ** 2)).astype(np.float32)
