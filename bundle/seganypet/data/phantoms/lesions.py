"""Lesions of a patient: alone, in clusters, against organs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from seganypet.data.phantoms.anatomy import FIRST_LESION, LABELS
from seganypet.data.phantoms.canvas import Canvas
from seganypet.data.phantoms.lesion_growth import Lesion, LesionGrowth, box_around, draw_volume, fitting
from seganypet.data.phantoms.lesion_maps import LesionMap, read_lesions
from seganypet.data.phantoms.lesion_sites import LARGE_SITES, SITES, Site

SITUATIONS = ("alone", "clustered", "beside_hot_organ")
HOT_SUV = 5.0
CLUSTERED_MM, BESIDE_MM = 20.0, 10.0


def add_lesions(
    canvas: Canvas,
    rng: np.random.Generator,
    *,
    count: int | None = None,
    volumes_ml: Sequence[float] | None = None,
    sites: Sequence[Site] = SITES,
    real_shapes: Sequence[LesionMap] = (),
    faint_share: float = 0.0,
) -> list[Lesion]:
    """Paint lesions into a patient, each one connected component apart from the others, a voxel at least between.

    Without `volumes_ml`: 0.2 to 100 mL, half of them under 5 mL; two in five stand in clusters of 2 to 10, their
    surfaces 3 to 20 mm apart, one in five touches an organ; one patient in four has a large uneven mass besides (a
    sarcoma, up to 900 mL). A lesion that finds no room is left out.

    Args:
        canvas: labels and activity so far; both are changed.
        rng: draws sites, shapes and uptake.
        count: how many lesions, else 2 to 16, fewer in a part of a body.
        volumes_ml: the volume of each, instead of drawn ones; these lie alone.
        sites: where lesions that lie alone may be.
        real_shapes: maps of real lesions; in half of the patients those of one of them come first, at their own place
            in the chest where the patient has lungs.
        faint_share: see `Options`.

    Raises:
        ValueError: volumes that are not positive, or that disagree with `count`.
    """
    if volumes_ml is not None:
        if count not in (None, len(volumes_ml)) or not all(v > 0 for v in volumes_ml):
            raise ValueError(f"volumes_ml needs {count or 'some'} positive volumes, got {list(volumes_ml)}")
        count = len(volumes_ml)
    if count is None:
        body = np.count_nonzero(canvas.labels) * np.prod(canvas.spacing_mm) / 1e6  # L
        count = 2 + min(int(rng.poisson(np.clip(body / 5, 2.5, 5.0))), 14)
    grown = LesionGrowth(canvas, rng, np.bincount(canvas.labels.ravel(), minlength=FIRST_LESION), faint_share)
    if volumes_ml is not None:
        for volume in volumes_ml:
            grown.single(fitting(sites, float(volume)), float(volume))
    else:
        if count and rng.random() < 0.25:
            grown.single([site for site in sites if site in LARGE_SITES], None)
        if count and len(real_shapes) and rng.random() < 0.5:
            study = read_lesions(real_shapes[int(rng.integers(len(real_shapes)))])
            grown.real(study[: count - len(grown.lesions)], sites)
        common = [site for site in sites if site not in LARGE_SITES and grown.holds(site)] or list(sites)
        tries = 0
        while len(grown.lesions) < count and tries < 4 * count:
            tries += 1
            kind = rng.random()
            if kind < 0.17 and count - len(grown.lesions) > 1:
                grown.cluster(min(int(rng.integers(2, 11)), count - len(grown.lesions)))
            elif kind < 0.42:
                grown.beside_organ()
            else:
                volume = draw_volume(rng)
                grown.single(fitting(common, volume), volume)
    return [replace(lesion, situation=situation_of(canvas, lesion)) for lesion in grown.lesions]


def situation_of(canvas: Canvas, lesion: Lesion) -> str:
    """Whether a lesion stands alone, in a cluster, or beside what is hot; see `Lesion`."""
    box = box_around(canvas, lesion.value, CLUSTERED_MM + 2 * max(canvas.spacing_mm))
    labels, activity = canvas.labels[box], canvas.activity[box]
    away = ndimage.distance_transform_edt(labels != lesion.value, sampling=canvas.spacing_mm)
    away = away - float(np.mean(canvas.spacing_mm))  # between surfaces, not centres
    others = (labels >= FIRST_LESION) & (labels != lesion.value)
    if (others & (away <= CLUSTERED_MM)).any():
        return "clustered"
    organs = np.array([bool(v in LABELS and LABELS[v] not in ("fat", "muscle")) for v in range(FIRST_LESION)])
    hot = organs[np.minimum(labels, FIRST_LESION - 1)] & (labels < FIRST_LESION)
    hot &= activity >= min(HOT_SUV, lesion.suv)
    hot_ml = np.count_nonzero(hot & (away <= BESIDE_MM)) * np.prod(canvas.spacing_mm) / 1000
    return "beside_hot_organ" if hot_ml >= 0.2 else "alone"
