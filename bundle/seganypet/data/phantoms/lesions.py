"""Lesions: where they sit, what shape they take, how their uptake varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from seganypet.data.phantoms.anatomy import FIRST_LESION, LUNG_VALUES, VALUES, lesion_name
from seganypet.data.phantoms.canvas import Canvas, Region
from seganypet.data.phantoms.lesion_uptake import paint_uptake
from seganypet.data.phantoms.shapes import ellipsoid, join, rotation

_TRIES = 12


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
    """

    name: str
    value: int
    site: str
    requested_ml: float
    volume_ml: float
    suv: float


@dataclass(frozen=True)
class Site:
    """A place where lesions grow.

    Args:
        name: what a reader would call it.
        inside: label names that a lesion there starts in and may replace.
        volume_ml: smallest and largest volume.
        weight: how often it is drawn.
        centre: template coordinates (mm) that it lies around; None for anywhere in `inside`.
        spread_mm: how far from `centre` a lesion may start.
        mirrored: whether the same place exists on the other side.
        stretch: longest over shortest axis, at most, the longest near the body's axis where above 2.
    """

    name: str
    inside: tuple[str, ...]
    volume_ml: tuple[float, float]
    weight: float
    centre: tuple[float, float, float] | None = None
    spread_mm: float = 15.0
    mirrored: bool = False
    stretch: float = 1.6


_SOFT = ("fat", "muscle", "vessels", "bowel")
_LUNGS = tuple(name for name, value in VALUES.items() if value in LUNG_VALUES)
SITES: tuple[Site, ...] = (
    Site("lung", _LUNGS, (0.3, 80), 3.0),
    Site("liver", ("liver",), (0.3, 120), 2.5),
    Site("bone", ("skeleton",), (0.3, 30), 2.5),
    Site("spleen", ("spleen",), (0.5, 20), 0.3),
    Site("bowel", (*_SOFT, "stomach"), (1, 60), 0.8, (0, 20, 190), 80),
    Site("mediastinal node", (*_SOFT, *_LUNGS), (0.3, 30), 2.0, (10, 4, 500), 45),
    Site("hilar mass", (*_SOFT, *_LUNGS), (5, 150), 0.8, (42, -5, 485), 20, True),
    Site("axillary node", _SOFT, (0.3, 15), 1.0, (140, 10, 545), 20, True),
    Site("cervical node", _SOFT, (0.3, 12), 1.2, (42, 4, 670), 25, True),
    Site("supraclavicular node", _SOFT, (0.3, 10), 1.0, (48, 12, 612), 15, True),
    Site("head and neck primary", _SOFT, (1, 30), 0.6, (12, 30, 715), 22, True),
    Site("para-aortic node", _SOFT, (0.3, 25), 1.2, (12, -12, 255), 35, True),
    Site("iliac node", _SOFT, (0.3, 15), 1.0, (52, 5, 125), 22, True),
    Site("inguinal node", _SOFT, (0.3, 12), 1.0, (72, 55, 35), 18, True),
    Site("beside the bladder", (*_SOFT, "prostate", "uterus"), (0.5, 60), 1.0, (28, -4, 80), 24, True),
    Site("prostate", ("prostate",), (0.3, 6), 0.4),
    Site(
        "beside the heart", (*_SOFT, "lung_upper_lobe_left", "lung_lower_lobe_left"), (0.5, 40), 0.8, (-75, 35, 445), 22
    ),
    Site("brain", ("brain",), (0.3, 20), 0.4),
    Site("adrenal", (*_SOFT, "liver"), (0.5, 30), 0.6, (48, -40, 355), 12, True),
    Site("peritoneal", _SOFT, (0.3, 20), 0.6, (0, 60, 210), 70),
    Site("breast or chest wall", _SOFT, (0.5, 80), 0.8, (95, 95, 490), 30, True),
    Site("thigh sarcoma", ("muscle", "fat"), (25, 900), 3.0, (90, 0, -70), 75, True, 3.0),
    Site("buttock sarcoma", ("muscle", "fat"), (25, 700), 1.2, (75, -70, 60), 35, True, 2.2),
    Site("trunk sarcoma", ("muscle", "fat"), (10, 500), 1.0, (120, -30, 330), 120, True, 2.2),
    Site("arm sarcoma", ("muscle", "fat"), (5, 150), 0.6, (185, 0, 650), 50, True, 3.0),
)
LARGE_SITES = tuple(site for site in SITES if site.name.endswith("sarcoma"))


def add_lesions(
    canvas: Canvas,
    rng: np.random.Generator,
    *,
    count: int | None = None,
    volumes_ml: Sequence[float] | None = None,
    sites: Sequence[Site] = SITES,
) -> list[Lesion]:
    """Paint lesions into a patient, each one connected component apart from the others.

    Without `volumes_ml`, most patients get one large heterogeneous mass (a sarcoma), and all get small and
    middle-sized lesions, log-uniform within their site's range. A lesion that finds no room is left out.

    Args:
        canvas: labels and activity so far; both are changed.
        rng: draws sites, shapes and uptake.
        count: how many lesions, else 1 to 9.
        volumes_ml: the volume of each, instead of drawn ones.
        sites: where lesions may be.

    Raises:
        ValueError: volumes that are not positive, or that disagree with `count`.
    """
    if volumes_ml is not None:
        if count not in (None, len(volumes_ml)) or not all(v > 0 for v in volumes_ml):
            raise ValueError(f"volumes_ml needs {count or 'some'} positive volumes, got {list(volumes_ml)}")
        count = len(volumes_ml)
    if count is None:
        count = 1 + min(int(rng.poisson(3.2)), 8)
    mass = volumes_ml is None and rng.random() < 0.7
    common = [site for site in sites if volumes_ml is not None or site not in LARGE_SITES] or list(sites)
    large = [site for site in sites if site in LARGE_SITES] or common
    lesions: list[Lesion] = []
    for number in range(count):
        for _ in range(_TRIES):
            requested = None if volumes_ml is None else float(volumes_ml[number])
            site, volume = _draw(rng, large if mass and number == 0 else common, requested)
            value = FIRST_LESION + len(lesions)
            painted = _grow(canvas, rng, site, volume, value)
            if painted is not None:
                lesions.append(Lesion(lesion_name(len(lesions) + 1), value, site.name, volume, *painted))
                break
    return lesions


def _draw(rng: np.random.Generator, sites: Sequence[Site], volume_ml: float | None) -> tuple[Site, float]:
    if volume_ml is not None:
        fitting = [site for site in sites if site.volume_ml[0] <= volume_ml <= site.volume_ml[1]]
        sites = fitting or [max(sites, key=lambda site: site.volume_ml[1])]
    weights = np.array([site.weight for site in sites])
    site = sites[int(rng.choice(len(sites), p=weights / weights.sum()))]
    low, high = np.log(site.volume_ml)
    share = rng.random() ** (0.6 if site in LARGE_SITES else 1.0)
    drawn = float(np.exp(low + share * (high - low)))
    return site, drawn if volume_ml is None else volume_ml


def _start(canvas: Canvas, rng: np.random.Generator, site: Site) -> tuple[int, ...] | None:
    """A voxel of the site, None if the scan does not hold it."""
    values = [VALUES[name] for name in site.inside]
    region: Region = (slice(None),) * 3  # type: ignore[assignment]
    near: np.ndarray | bool = True
    if site.centre is not None:
        side = -1 if site.mirrored and rng.random() < 0.5 else 1
        centre = np.array([side * site.centre[0], *site.centre[1:]])
        region = canvas.region(centre - site.spread_mm, centre + site.spread_mm)
        near = ellipsoid(canvas.coordinates(region), centre, (site.spread_mm,) * 3) < 0
    lookup = np.zeros(int(canvas.labels.max()) + 1 + max(values), dtype=bool)
    lookup[values] = True
    places = np.argwhere(lookup[canvas.labels[region]] & near)
    if not len(places):
        return None
    return tuple(int(i) + (part.start or 0) for i, part in zip(rng.choice(places), region, strict=True))


def _grow(
    canvas: Canvas, rng: np.random.Generator, site: Site, volume_ml: float, value: int
) -> tuple[float, float] | None:
    """Paint one lesion; its volume in mL and SUV, or None where there is no room for it."""
    start = _start(canvas, rng, site)
    if start is None:
        return None
    voxel_ml = float(np.prod(canvas.spacing_mm)) / 1000
    count = max(1, round(volume_ml / voxel_ml))
    radius = (3 * volume_ml * 1000 / (4 * np.pi)) ** (1 / 3)
    reach = [int(np.ceil((1.9 * radius * site.stretch**0.6 + 12) / step)) for step in canvas.spacing_mm]
    region: Region = tuple(  # type: ignore[assignment]
        slice(max(0, i - r), min(n, i + r + 1)) for i, r, n in zip(start, reach, canvas.shape, strict=True)
    )
    labels = canvas.labels[region]
    allowed = np.isin(labels, [VALUES[name] for name in site.inside])
    others = labels >= FIRST_LESION
    if others.any():
        allowed &= ~ndimage.binary_dilation(others, iterations=2)
    local = tuple(i - part.start for i, part in zip(start, region, strict=True))
    if not allowed[local] or np.count_nonzero(allowed) < 1.1 * count:
        return None
    shape = _shape(canvas, rng, region, start, radius, site.stretch)
    inside = take_connected(shape, allowed, local, count)
    size = int(np.count_nonzero(inside))
    if abs(size - count) > max(1, 0.03 * count):
        return None
    suv = paint_uptake(canvas, rng, region, inside, radius, mass=site in LARGE_SITES)
    canvas.labels[region][inside] = value
    return size * voxel_ml, suv


def _shape(
    canvas: Canvas, rng: np.random.Generator, region: Region, start: tuple[int, ...], radius: float, stretch: float
) -> np.ndarray:
    """Implicit values of a lobulated, stretched, rough blob around `start` over a region."""
    x, y, z = (
        (np.arange(part.start, part.stop, dtype=np.float32) - i) * np.float32(step)
        for part, i, step in zip(region, start, canvas.spacing_mm, strict=True)
    )
    xyz = (x[:, None, None], y[:, None], z)
    ratio = rng.uniform(1.0, stretch)
    axes = rotation(rng, 14 if stretch > 2 else 90)
    radii = radius * np.array([ratio**-0.4, ratio**-0.4, ratio**0.8]) * np.exp(rng.normal(0, 0.1, 3))
    shape = ellipsoid(xyz, (0, 0, 0), radii, axes)
    for _ in range(int(rng.integers(0, 5))):
        direction = rng.normal(size=3)
        middle = axes.T @ (direction / np.linalg.norm(direction) * radii) * rng.uniform(0.5, 0.95)
        lobe = ellipsoid(xyz, middle, radius * rng.uniform(0.3, 0.7) * np.exp(rng.normal(0, 0.15, 3)))
        shape = join(shape, lobe, 0.25 * radius)
    roughness = radius * rng.uniform(0.05, 0.18)
    return shape + np.float32(roughness) * canvas.field(max(5.0, rng.uniform(0.4, 0.8) * radius), region)


def take_connected(shape: np.ndarray, allowed: np.ndarray, start: tuple[int, ...], count: int) -> np.ndarray:
    """The connected set of about `count` allowed voxels around `start` whose implicit values are lowest.

    Args:
        shape: implicit values [i, j, k].
        allowed: voxels that may be taken, bool [i, j, k]; `start` is one of them.
        start: a voxel of the set.
        count: how many voxels to take.

    Returns:
        bool [i, j, k], connected through faces; smaller where the allowed voxels around `start` are too few.
    """
    values = np.where(allowed, shape, np.inf)
    values[start] = -np.inf

    def part(limit: float) -> np.ndarray:
        components, _ = ndimage.label(values <= limit)
        return components == components[start]

    order = np.sort(values[allowed])
    low, high = min(count, len(order)) - 1, len(order) - 1
    inside = part(order[high])
    while low < high:  # the lowest limit whose part around `start` has `count` voxels
        middle = (low + high) // 2
        found = part(order[middle])
        if np.count_nonzero(found) < count:
            low = middle + 1
        else:
            inside, high = found, middle
    places = np.flatnonzero(inside)
    if len(places) <= count:
        return inside
    highest = places[np.argsort(values.ravel()[places], kind="stable")[count:]]  # two parts met at the limit
    values.ravel()[highest] = np.inf
    return part(float(values[inside & (values < np.inf)].max()))
