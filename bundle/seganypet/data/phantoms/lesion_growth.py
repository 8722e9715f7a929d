"""Lesions painted into a patient one after the other: each finds a place, a shape and its uptake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from seganypet.data.phantoms.anatomy import FIRST_LESION, VALUES, lesion_name
from seganypet.data.phantoms.canvas import Canvas, Region
from seganypet.data.phantoms.lesion_maps import RealLesion
from seganypet.data.phantoms.lesion_shapes import filled_share, lobulated, take_connected
from seganypet.data.phantoms.lesion_sites import (
    BESIDE,
    CLUSTER_SITES,
    LARGE_SITES,
    LUNG_NAMES,
    REAL_ELSEWHERE,
    REAL_LUNG,
    Site,
    lookup,
)
from seganypet.data.phantoms.lesion_uptake import paint_uptake
from seganypet.data.phantoms.shapes import ellipsoid

_TRIES = 12
_COMPACT = 0.45  # of a lesion's own shape has room; a mass is no sheet between organs
FAINT_MM = 10.0  # radius below which a lesion may be faint
_GAP_MM = (3.0, 20.0)  # between the surfaces of a cluster's neighbours


@dataclass(frozen=True)
class Lesion:
    """One lesion of a phantom.

    Args:
        name: its label name.
        value: its label value.
        site: name of the `Site` it was placed in.
        requested_ml: volume that was asked for.
        volume_ml: volume of its voxels.
        suv: SUV of its viable part before blur.
        situation: one of `SITUATIONS`: another lesion lies within 20 mm; or tissue of SUV 5 or of the lesion's own
            uptake lies within 10 mm; or neither.
        habit: whose contour the label is, one of `HABITS`: "painted" for the object as it was before blur.
    """

    name: str
    value: int
    site: str
    requested_ml: float
    volume_ml: float
    suv: float
    situation: str = "alone"
    habit: str = "painted"


def draw_volume(rng: np.random.Generator, largest: float = 100.0) -> float:
    """0.2 to 100 mL, log-uniform under 5 mL as often as log-uniform above."""
    low, high = (0.2, 5.0) if rng.random() < 0.6 or largest <= 5 else (5.0, largest)
    return float(np.exp(rng.uniform(np.log(low), np.log(min(high, largest)))))


def fitting(sites: Sequence[Site], volume_ml: float) -> list[Site]:
    """The sites that hold lesions of a volume, else the one that holds the largest."""
    found = [site for site in sites if site.volume_ml[0] <= volume_ml <= site.volume_ml[1]]
    return found or [max(sites, key=lambda site: site.volume_ml[1])]


def box_around(canvas: Canvas, value: int, margin_mm: float) -> Region:
    """Slices that hold a label and what lies within a margin of it."""
    found = ndimage.find_objects((canvas.labels == value).astype(np.int8))[0]
    return tuple(  # type: ignore[return-value]
        slice(max(0, part.start - int(np.ceil(margin_mm / step))), min(n, part.stop + int(np.ceil(margin_mm / step))))
        for part, step, n in zip(found, canvas.spacing_mm, canvas.shape, strict=True)
    )


@dataclass
class LesionGrowth:
    """Lesions being painted, one after the other."""

    canvas: Canvas
    rng: np.random.Generator
    present: np.ndarray  # voxels of each label before the first lesion
    faint_share: float = 0.0

    def __post_init__(self) -> None:
        self.lesions: list[Lesion] = []

    def _choose(self, sites: Sequence[Site]) -> Site:
        weights = np.array([site.weight for site in sites])
        return sites[int(self.rng.choice(len(sites), p=weights / weights.sum()))]

    def holds(self, site: Site) -> bool:
        """Whether the scan holds such a place at all."""
        if not any(self.present[VALUES[name]] for name in site.inside):
            return False
        if site.centre is None:
            return True
        for side in (1, -1) if site.mirrored else (1,):
            centre = np.array([side * site.centre[0], *site.centre[1:]])
            if 0 not in self.canvas.labels[self.canvas.region(centre - site.spread_mm, centre + site.spread_mm)].shape:
                return True
        return False

    def single(self, sites: Sequence[Site], volume_ml: float | None) -> None:
        """A lesion by itself in one of the sites, of its own large volume if None is given."""
        for _ in range(_TRIES):
            site = self._choose(sites)
            volume = volume_ml
            if volume is None:
                low, high = np.log(site.volume_ml)
                volume = float(np.exp(low + self.rng.random() ** 0.6 * (high - low)))
            start = _start(self.canvas, self.rng, site)
            if start is not None and self._grow(site, start, volume):
                return

    def cluster(self, size: int) -> None:
        """`size` lesions of one site, each near one of those before it."""
        sites = [site for site in CLUSTER_SITES if self.holds(site)]
        for _ in range(_TRIES if sites else 0):
            site = self._choose(sites)
            start = _start(self.canvas, self.rng, site)
            if start is not None and self._grow(site, start, draw_volume(self.rng, site.volume_ml[1])):
                break
        else:
            return
        first = self.lesions[-1].value
        tracer = float(np.log(self.lesions[-1].suv))  # one disease: alike, not equal
        for _ in range(2 * size):
            if self.lesions[-1].value - first + 1 >= size:
                return
            volume = draw_volume(self.rng, min(8.0, site.volume_ml[1]))
            start = self._near(first, site, volume)
            if start is not None:
                suv = float(np.exp(tracer + self.rng.normal(0, 0.4)))
                self._grow(site, start, volume, suv=suv, near=first)

    def beside_organ(self) -> None:
        """A lesion that touches an organ."""
        here = [(organ, site) for organ, site in BESIDE if self.present[VALUES[organ]]]
        if not here:
            return
        for _ in range(3):
            weights = np.array([site.weight for _, site in here])
            organ, site = here[int(self.rng.choice(len(here), p=weights / weights.sum()))]
            box = box_around(self.canvas, VALUES[organ], 8.0) if (self.canvas.labels == VALUES[organ]).any() else None
            if box is None:
                continue
            labels = self.canvas.labels[box]
            border = ndimage.binary_dilation(labels == VALUES[organ]) & lookup(site, labels.max() + 256)[labels]
            if organ == "liver" and site.name == "at the liver dome":
                height = self.canvas.coordinates(box)[2]
                border &= height > np.median(height[labels == VALUES[organ]])
            places = np.argwhere(border)
            if not len(places):
                continue
            start = tuple(int(i) + part.start for i, part in zip(self.rng.choice(places), box, strict=True))
            near_suv = float(np.median(self.canvas.activity[box][labels == VALUES[organ]]))
            if self._grow(site, start, draw_volume(self.rng, site.volume_ml[1]), least_suv=0.35 * near_suv):
                return

    def real(self, study: Sequence[RealLesion], sites: Sequence[Site]) -> None:
        """A real patient's lesions, at their own place in the chest, else wherever one of the sites has room."""
        lungs = self._lung_box()
        for lesion in study:
            scale = float(self.rng.uniform(0.85, 1.15))
            volume = lesion.volume_ml * scale**3
            for _ in range(_TRIES // 3):
                if lungs is not None and lesion.place is not None:
                    inside = (lesion.place > 0) & (lesion.place < 1)
                    site = REAL_LUNG if inside.all() else REAL_ELSEWHERE
                    start = self._nearest(site, lungs[0] + lesion.place * (lungs[1] - lungs[0]))
                else:
                    site = self._choose([one for one in fitting(sites, volume) if self.holds(one)] or list(sites))
                    start = _start(self.canvas, self.rng, site)
                if start is not None and self._grow(site, start, volume, real=(lesion, scale)):
                    break

    def _lung_box(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Lowest and highest template coordinates of the lungs, None where they are absent or cut."""
        lungs = lookup(Site("", LUNG_NAMES, (0, 0), 0), int(self.canvas.labels.max()) + 256)[self.canvas.labels]
        found = ndimage.find_objects(lungs.astype(np.int8))
        if not found or any(part.start == 0 or part.stop == n for part, n in zip(found[0], lungs.shape, strict=True)):
            return None
        ends = [axis[part][[0, -1]] for axis, part in zip(self.canvas.axes, found[0], strict=True)]
        return np.array([end.min() for end in ends]), np.array([end.max() for end in ends])

    def _nearest(self, site: Site, place: np.ndarray) -> tuple[int, ...] | None:
        """The voxel that the site may replace nearest to a place in template coordinates, within 25 mm."""
        box = self.canvas.region(place - 25, place + 25)
        labels = self.canvas.labels[box]
        if not labels.size:
            return None
        away = sum((c - p) ** 2 for c, p in zip(self.canvas.coordinates(box), place, strict=True))
        away = np.where(lookup(site, int(labels.max()) + 256)[labels], away, np.inf)
        nearest = np.unravel_index(int(away.argmin()), away.shape)
        if not away[nearest] <= 25**2:
            return None
        return tuple(int(i) + part.start for i, part in zip(nearest, box, strict=True))

    def _near(self, first: int, site: Site, volume_ml: float) -> tuple[int, ...] | None:
        """A voxel for the centre of a node whose surface will lie 3 to 20 mm from one of the cluster's."""
        radius = (3 * volume_ml * 1000 / (4 * np.pi)) ** (1 / 3)
        reach = _GAP_MM[1] + radius
        other = int(self.rng.integers(first, self.lesions[-1].value + 1))
        box = box_around(self.canvas, other, reach)
        labels = self.canvas.labels[box]
        cluster = labels >= first
        away = ndimage.distance_transform_edt(~cluster, sampling=self.canvas.spacing_mm)
        wanted = self.rng.uniform(_GAP_MM[0] + 1, 0.75 * _GAP_MM[1]) + radius
        places = np.argwhere((np.abs(away - wanted) < 3) & lookup(site, int(labels.max()) + 256)[labels])
        if not len(places):
            return None
        return tuple(int(i) + part.start for i, part in zip(self.rng.choice(places), box, strict=True))

    def _grow(
        self,
        site: Site,
        start: tuple[int, ...],
        volume_ml: float,
        *,
        suv: float | None = None,
        least_suv: float = 0.0,
        near: int | None = None,
        real: tuple[RealLesion, float] | None = None,
    ) -> bool:
        """Paint one lesion; False where there is no room for it."""
        canvas = self.canvas
        voxel_ml = float(np.prod(canvas.spacing_mm)) / 1000
        count = max(1, round(volume_ml / voxel_ml))
        radius = (3 * volume_ml * 1000 / (4 * np.pi)) ** (1 / 3)
        reach_mm = 1.9 * radius * site.stretch**0.6 if real is None else real[0].reach_mm * real[1]
        reach = [int(np.ceil((reach_mm + 12) / step)) for step in canvas.spacing_mm]
        region: Region = tuple(  # type: ignore[assignment]
            slice(max(0, i - r), min(n, i + r + 1)) for i, r, n in zip(start, reach, canvas.shape, strict=True)
        )
        labels = canvas.labels[region]
        allowed = lookup(site, int(labels.max()) + 256)[labels]
        others = labels >= FIRST_LESION
        if others.any():
            away = ndimage.distance_transform_edt(~others, sampling=canvas.spacing_mm)
            allowed &= away - float(np.mean(canvas.spacing_mm)) >= _GAP_MM[0]
            allowed &= ~ndimage.binary_dilation(others, np.ones((3, 3, 3)))
        local = tuple(i - part.start for i, part in zip(start, region, strict=True))
        if not allowed[local] or np.count_nonzero(allowed) < 1.1 * count:
            return False
        if real is None:
            shape = lobulated(canvas, self.rng, region, start, radius, site.stretch)
        else:
            shape = real[0].implicit(canvas, region, start, real[1], self.rng)
        inside = take_connected(shape, allowed, local, count)
        size = int(np.count_nonzero(inside))
        if abs(size - count) > max(1, 0.03 * count):
            return False
        free = shape <= np.partition(shape, count - 1, axis=None)[count - 1]  # as it would grow in the open
        if np.count_nonzero(inside & free) < _COMPACT * count:
            return False
        if near is not None:
            gap = float(away[inside & (away > 0)].min()) if others.any() else np.inf
            if gap - float(np.mean(canvas.spacing_mm)) > _GAP_MM[1]:
                return False
        value = FIRST_LESION + len(self.lesions)
        mass = site in LARGE_SITES
        share = filled_share(shape, inside, allowed, canvas.spacing_mm)
        faint = bool(self.faint_share) and radius < FAINT_MM and self.rng.random() < self.faint_share
        painted = paint_uptake(
            canvas, self.rng, region, inside, radius, mass=mass, share=share, suv=suv, least=least_suv, faint=faint
        )
        canvas.labels[region][inside] = value
        name = lesion_name(len(self.lesions) + 1)
        self.lesions.append(Lesion(name, value, site.name, volume_ml, size * voxel_ml, painted))
        return True


def _start(canvas: Canvas, rng: np.random.Generator, site: Site) -> tuple[int, ...] | None:
    """A voxel of the site, None if the scan does not hold it."""
    region: Region = (slice(None),) * 3  # type: ignore[assignment]
    near: np.ndarray | bool = True
    if site.centre is not None:
        side = -1 if site.mirrored and rng.random() < 0.5 else 1
        centre = np.array([side * site.centre[0], *site.centre[1:]])
        region = canvas.region(centre - site.spread_mm, centre + site.spread_mm)
        near = ellipsoid(canvas.coordinates(region), centre, (site.spread_mm,) * 3) < 0
    labels = canvas.labels[region]
    if not labels.size:
        return None
    places = np.flatnonzero(lookup(site, int(labels.max()) + 256)[labels] & near)
    if not len(places):
        return None
    chosen = np.unravel_index(int(rng.choice(places)), labels.shape)
    return tuple(int(i) + (part.start or 0) for i, part in zip(chosen, region, strict=True))
