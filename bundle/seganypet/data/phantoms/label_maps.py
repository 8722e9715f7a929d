"""Phantoms whose anatomy is a real patient's: organ label maps, deformed, clothed in soft tissue, given uptake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from seganypet.data.phantoms.anatomy import VALUES, draw_uptakes
from seganypet.data.phantoms.canvas import Canvas, Region
from seganypet.data.phantoms.chest import lung_lobes, paint_heart_muscle
from seganypet.data.phantoms.head import paint_neck_uptake
from seganypet.data.phantoms.head_neck_maps import skull_inside
from seganypet.data.phantoms.label_map_files import LabelMap, read_label_map
from seganypet.data.phantoms.label_map_names import Tissue, tissues_of
from seganypet.data.phantoms.landmarks import AxisMap, template_axes
from seganypet.data.phantoms.options import PLAIN, Options, region_side_mm
from seganypet.data.phantoms.organs import paint_organs
from seganypet.data.phantoms.painter import Painter
from seganypet.data.phantoms.phantom import Phantom, checked_spacing, render
from seganypet.data.phantoms.scanner import Scanner, draw_scanner, draw_voxel_size

_GRID_MM = 2.0  # of the kept source: half a scanner's voxel
_COARSE = 3  # depth is kept on every third of its voxels
_CLOSING_MM = 55.0
_ROOM_MM = 60.0
_MUSCLED = ("hip", "femur", "scap", "pelvis", "cervical", "mandible", "vertebrae_c")  # bones with muscle all around
_WHOLE: Region = (slice(None), slice(None), slice(None))


@dataclass(frozen=True)
class _Source:
    """A label map on an RAS grid of `_GRID_MM`, with room around it for skin."""

    labels: np.ndarray  # [i, j, k] values of the map
    depth: np.ndarray  # [i, j, k] on every third voxel: mm to the closed hull of all labels, negative inside
    names: dict[int, str]
    has_body: bool
    complete: bool  # nothing is missing: no procedural organ is added
    onto: tuple[AxisMap, AxisMap, AxisMap]  # mm of the map → mm of the template


@dataclass
class _Clothed:
    """A label map's body as `Ground` for procedural organs."""

    canvas: Canvas
    male: bool
    skin: np.ndarray
    core: np.ndarray
    spine: np.ndarray


def make_label_map_phantom(
    labels_path: str | Path,
    names: Mapping[int, str],
    seed: int | np.random.Generator = 0,
    *,
    ct_path: str | Path | None = None,
    map_spacing_mm: Sequence[float] | None = None,
    mirrored: bool | None = None,
    voxel_size_mm: Sequence[float] | None = None,
    scanner: Scanner | None = None,
    lesion_count: int | None = None,
    lesion_volumes_ml: Sequence[float] | None = None,
    options: Options = PLAIN,
) -> Phantom:
    """A PET phantom on the anatomy of an organ label map, each seed another patient.

    The map is scaled by up to 12 % along each axis, bent, and in half of the seeds mirrored left to right. Maps of
    organs alone get a body: a closed hull, fat, and muscle between the organs. Organs that the map's names do not
    know at all (the heart or the bladder, in a map of liver, lungs and brain) are added procedurally.

    Args:
        labels_path: NIfTI or NRRD of integers.
        names: name of each value; see `tissues_of` for which are known.
        seed: a number, or a generator that is drawn from.
        ct_path: CT of OpenKBP's labels, see `LabelMap`.
        map_spacing_mm: the map's voxel size, where the file's own is wrong.
        mirrored: left for right; drawn if None. Paired organs are named after the side they then lie on.
        voxel_size_mm: voxel size, else one of a clinical scanner.
        scanner: blur and noise, else drawn.
        lesion_count: how many lesions to place, 0 for none.
        lesion_volumes_ml: volume of each lesion, instead of drawn ones.
        options: tracer, brain pattern, real lesions' shapes, region.

    Raises:
        FileNotFoundError: no file at `labels_path`.
        ValueError: a name without a tissue, or a map without any named voxel.
    """
    rng = np.random.default_rng(seed)
    tissues_of(names)
    source = _source(
        str(labels_path),
        Path(labels_path).stat().st_mtime_ns,
        tuple(sorted(names.items())),
        None if ct_path is None else str(ct_path),
        None if map_spacing_mm is None else tuple(float(step) for step in map_spacing_mm),  # type: ignore[arg-type]
    )
    tissues = tissues_of(source.names)
    drawn_mirror = bool(rng.random() < 0.5)
    drawn_size = draw_voxel_size(rng, fine=options.region_mm is not None)
    mirrored = drawn_mirror if mirrored is None else mirrored
    spacing = checked_spacing(voxel_size_mm if voxel_size_mm is not None else drawn_size)
    drawn_scanner = draw_scanner(rng, spacing)
    suv = draw_uptakes(rng, options.tracer)
    canvas, affine = _canvas(source, spacing, mirrored, rng, options.region_mm)
    values, depth = _sample(source, canvas)
    for axis, onto in enumerate(source.onto):
        canvas.rename_axis(axis, onto)
    body = _clothe(source, values, depth, canvas, suv, rng)
    _paint_map(source, values, tissues, canvas, suv)
    _paint_details(source, Painter(body, suv))
    known = frozenset(tissue.label for tissue in tissues.values())
    if not source.complete:
        paint_organs(body, suv, known=known | ({"vessels"} if "heart" in known else set()))
    if "brain" in known:  # else with the procedural head
        paint_neck_uptake(Painter(body, suv), known)
    if mirrored:
        _swap_sides(canvas.labels)
    return render(
        canvas,
        affine,
        scanner or drawn_scanner,
        rng,
        suv,
        lesion_count=lesion_count,
        lesion_volumes_ml=lesion_volumes_ml,
        options=options,
    )


@lru_cache(maxsize=24)  # some 10 MB each; a cohort goes round its maps
def _source(
    path: str,
    _modified: int,
    names: tuple[tuple[int, str], ...],
    ct: str | None,
    map_spacing: tuple[float, float, float] | None,
) -> _Source:
    """Read a label map once for all the patients made of it. Its values become 1, 2, 3, ..."""
    stored, spacing, known = read_label_map(LabelMap(path, dict(names), ct, map_spacing))
    index = [
        np.rint(np.arange(0, (n - 0.5) * step, _GRID_MM) / step).astype(int).clip(0, n - 1)
        for n, step in zip(stored.shape, spacing, strict=True)
    ]
    stored = stored[np.ix_(*index)]
    used = [value for value in np.unique(stored) if value > 0 and int(value) in known]
    if not used:
        raise ValueError(f"{path} holds none of the {len(known)} named label values")
    absent = [name for value, name in known.items() if value not in used]
    table = {n: known[int(value)] for n, value in enumerate(used, start=1)}
    table |= dict(enumerate(absent, start=len(used) + 1))
    if len(table) > 254:
        raise ValueError(f"{path} has {len(table)} named values, more than 254")
    lookup = np.zeros(int(stored.max()) + 1, dtype=np.uint8)
    lookup[used] = np.arange(1, len(used) + 1)
    labels = lookup[np.maximum(stored, 0)]
    tissues = tissues_of(table)
    skull = np.isin(labels, [value for value, name in table.items() if name == "skull"])
    if skull.any() and "brain" not in {tissue.label for tissue in tissues.values()}:
        table[255] = "brain"
        labels[skull_inside(skull, np.full(3, _GRID_MM)) & (labels == 0)] = 255
    names = tuple(table.items())
    occupied = np.flatnonzero((labels > 0).any((0, 1)))
    labels = labels[:, :, occupied[0] : occupied[-1] + 1]
    room = round(_ROOM_MM / _GRID_MM)
    labels = np.pad(labels, ((room, room), (room, room), (0, 0)))
    has_body = any(name == "body" for _, name in names)
    inside = labels[::_COARSE, ::_COARSE, ::_COARSE] > 0
    step = _COARSE * _GRID_MM
    if not has_body:
        around = int(_CLOSING_MM / step) + 1
        padded = np.pad(inside, ((0, 0), (0, 0), (around, around)), mode="edge")
        wide = ndimage.distance_transform_edt(~padded, sampling=step) <= _CLOSING_MM
        inside |= ndimage.distance_transform_edt(wide, sampling=step)[:, :, around:-around] > _CLOSING_MM
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in np.moveaxis(inside, 2, 0)], axis=2)
    out, within = (ndimage.distance_transform_edt(part, sampling=step) for part in (~filled, filled))
    depth = ndimage.gaussian_filter((out - within).astype(np.float32), 0.7)
    coarse = labels[::_COARSE, ::_COARSE, ::_COARSE]
    still = Canvas(
        *[step * np.arange(n) for n in coarse.shape], spacing_mm=(step,) * 3, rng=np.random.default_rng(0), bend_mm=0
    )
    onto = template_axes(coarse, tissues, table, still)
    return _Source(labels, depth, table, has_body, ct is not None, onto)


def _canvas(
    source: _Source,
    spacing: tuple[float, float, float],
    mirrored: bool,
    rng: np.random.Generator,
    region_mm: float | None,
) -> tuple[Canvas, np.ndarray]:
    scale = np.clip(rng.normal(1.0, 0.05) * np.exp(rng.normal(0, 0.03, 3)), 0.88, 1.12)
    extent = np.array(source.labels.shape) * _GRID_MM * scale
    low = np.zeros(3)
    if region_mm is not None:  # around a voxel of the map
        side = region_side_mm(region_mm, spacing)
        places = np.argwhere(source.labels[::4, ::4, ::4])
        middle = rng.choice(places) * 4 * _GRID_MM * scale if len(places) else extent / 2
        low = np.clip(middle - side / 2, 0, np.maximum(0, extent - side))
        extent = np.minimum(extent, side)
    shape = np.floor(extent / spacing).astype(int)
    sign = np.array([-1.0, -1.0, 1.0]) if rng.random() < 0.7 else np.ones(3)
    world = [s * step * np.arange(n) for s, step, n in zip(sign, spacing, shape, strict=True)]
    offset = rng.uniform(-20, 20, 3)
    affine = np.diag([*(sign * spacing), 1.0])
    affine[:3, 3] = offset - [0 if s > 0 else axis[-1] for s, axis in zip(sign, world, strict=True)]
    axes = []
    for number, (axis, factor, start) in enumerate(zip(world, scale, low, strict=True)):
        along = (axis - axis.min() + start) / factor
        axes.append(along.max() + along.min() - along if mirrored and number == 0 else along)
    return Canvas(*axes, spacing_mm=spacing, rng=rng, bend_mm=6.0), affine


def _sample(source: _Source, canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """The map's values and depth at every voxel of the canvas, whose coordinates are still the source's."""
    index = [
        np.clip(np.rint(c / np.float32(_GRID_MM)), 0, n - 1).astype(np.int32)
        for c, n in zip(canvas.xyz, source.labels.shape, strict=True)
    ]
    values = source.labels[index[0], index[1], index[2]]
    coarse = np.stack([c / np.float32(_COARSE * _GRID_MM) for c in canvas.xyz])
    return values, ndimage.map_coordinates(source.depth, coarse, order=1, mode="nearest")


def _clothe(
    source: _Source,
    values: np.ndarray,
    depth: np.ndarray,
    canvas: Canvas,
    suv: dict[str, float],
    rng: np.random.Generator,
) -> _Clothed:
    """Paint fat and muscle, and say where they are."""
    fat_mm = float(np.clip(rng.gamma(4.0, 3.0), 4, 30)) * np.clip(1 + 0.25 * canvas.field(70.0), 0.4, 1.8)
    if source.has_body:
        skin = depth
        core = depth + np.minimum(0.5 * fat_mm, 14)
    else:
        core = depth - 9  # muscle over the outermost bones
        skin = core - fat_mm
    canvas.activity.fill(suv["air"])
    canvas.paint(_WHOLE, skin < 0, VALUES["fat"], suv["fat"])
    canvas.paint(_WHOLE, (skin < 0) & (skin > -3.5), VALUES["fat"], suv["skin"])
    seams = np.abs(canvas.field(35.0)) < 0.12
    muscle = core < 0
    if not source.has_body:  # the wall, and what lies around bones; the rest of the cavity is fat and mesentery
        bones = np.isin(values, [v for v, name in source.names.items() if name.lower().startswith(_MUSCLED)])
        near = ndimage.uniform_filter(bones.astype(np.float32), [max(1, round(40 / s)) for s in canvas.spacing_mm])
        muscle &= (core > -20) | (near > 0.04)
        mesentery = np.clip(0.5 + 0.8 * canvas.field(13.0), 0, 1) * np.float32(0.35 * suv["bowel"])
        canvas.paint(_WHOLE, (core < 0) & ~muscle, VALUES["fat"], suv["fat"] + mesentery)
    canvas.paint(_WHOLE, muscle, VALUES["muscle"], suv["muscle"])
    canvas.paint(_WHOLE, muscle & (core < -4) & seams, VALUES["muscle"], 0.5 * (suv["muscle"] + suv["fat"]))
    male = "prostate" in source.names.values() or bool(rng.random() < 0.5)
    return _Clothed(canvas, male, skin, core, np.full(canvas.shape, 1e3, dtype=np.float32))


def _paint_map(
    source: _Source, values: np.ndarray, tissues: dict[int, Tissue], canvas: Canvas, suv: dict[str, float]
) -> None:
    """Paint every organ of the map evenly."""
    label, level = np.zeros(256, dtype=np.int16), np.zeros(256, dtype=np.float32)
    painted = np.zeros(256, dtype=bool)
    for value, tissue in tissues.items():
        label[value], level[value] = VALUES[tissue.label], suv[tissue.uptake] * tissue.factor
        painted[value] = source.names[value] != "body"
    canvas.paint(_WHOLE, painted[values], label[values], level[values])


def _paint_details(source: _Source, painter: Painter) -> None:
    """What a label map does not tell: heart muscle, calyces, walls and contents, grey and white matter, lobes."""
    canvas, suv, rng = painter.canvas, painter.suv, painter.rng
    boxes = ndimage.find_objects(canvas.labels.astype(np.int32))

    def organ(name: str) -> tuple[Region, np.ndarray, np.ndarray] | None:
        region = boxes[VALUES[name] - 1] if VALUES[name] <= len(boxes) else None
        if region is None:
            return None
        inside = canvas.labels[region] == VALUES[name]
        depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=canvas.spacing_mm)[1:-1, 1:-1, 1:-1]
        return region, inside, depth.astype(np.float32)

    if "lungs" in source.names.values() and (found := organ("lung_upper_lobe_right")):
        region, inside, _ = found
        canvas.paint(region, inside, lung_lobes(painter, region), suv["lung"])
    if found := organ("heart"):
        paint_heart_muscle(painter, *found[:2])
    for name in ("kidney_right", "kidney_left"):
        if found := organ(name):
            region, inside, depth = found
            hot = suv["renal_pelvis"] * np.exp(rng.normal(0, 0.3))
            calyces = inside & (depth > 7) & (canvas.field(14.0, region) > rng.uniform(-0.2, 1.2))
            canvas.paint(region, calyces, VALUES[name], hot)
    if found := organ("stomach"):
        region, inside, depth = found
        content = inside & (depth > rng.uniform(6, 10))
        canvas.paint(region, content, VALUES["stomach"], float(rng.uniform(0.1, 0.6)))
    if found := organ("bowel"):
        region, inside, depth = found
        patchy = canvas.activity[region] * np.exp(np.clip(0.55 * canvas.field(40.0, region), -1.1, 1.0))
        content = np.where((depth > 7) & (canvas.field(45.0, region) > 0), 0.4, 1.0)
        canvas.paint(region, inside, VALUES["bowel"], patchy * content)
    if found := organ("brain"):
        region, inside, depth = found
        white = inside & (depth + 5 * canvas.field(9.0, region) > 15)
        deep = ndimage.distance_transform_edt(~(depth > 0.62 * depth.max()), sampling=canvas.spacing_mm) > 0
        canvas.paint(region, white & deep, VALUES["brain"], 0.42 * suv["brain"])


def _swap_sides(labels: np.ndarray) -> None:
    """Rename a mirrored patient's kidneys and glands by the side they lie on. Lobes keep their own lung's name."""
    for organ in ("kidney", "parotid_gland"):
        right, left = VALUES[f"{organ}_right"], VALUES[f"{organ}_left"]
        was_right = labels == right
        labels[labels == left] = right
        labels[was_right] = left
