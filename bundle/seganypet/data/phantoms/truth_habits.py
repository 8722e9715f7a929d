"""What different readers call the lesion: contours of several habits around one painted object, for training alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from seganypet.data.phantoms.anatomy import FIRST_LESION, LABELS
from seganypet.data.phantoms.lesion_growth import Lesion
from seganypet.data.phantoms.phantom import Phantom

HABITS = {"painted": 0.4, "half_maximum": 0.15, "suv_4": 0.15, "gradient_edge": 0.15, "generous": 0.15}
"""The habits and how often a phantom's reader has each: the painted object itself; 50 % of the lesion's maximum; SUV 4;
the steepest edge; 1 to 2 mm too wide."""

_REACH_MM = 8.0
_FIXED_SUV = 4.0
_LEAST_DICE = 0.4  # with the painted object; a contour that agrees less has gone into something else
_NEVER = frozenset({"brain", "heart", "liver", "spleen", "kidney_right", "kidney_left", "urinary_bladder", "bowel"})


def contour_by_habit(phantom: Phantom, rng: np.random.Generator, habit: str | None = None) -> Phantom:
    """The phantom with every lesion outlined as a reader of one habit would on the blurred, noisy image.

    A contour stays within 8 mm of the painted object, out of organs and nearer to its own lesion than to any other; one
    that agrees with the object by a Dice under 0.4, or that the habit cannot give (SUV 4, in a lesion that hardly
    reaches it), is the object. Each stays one piece.

    Args:
        phantom: as painted; not changed.
        rng: draws the habit and how generous it is.
        habit: one of `HABITS`; drawn if None.

    Raises:
        ValueError: an unknown habit.
    """
    names = list(HABITS)
    drawn = names[int(rng.choice(len(names), p=list(HABITS.values())))]
    habit = drawn if habit is None else habit
    if habit not in HABITS:
        raise ValueError(f"habit must be one of {', '.join(HABITS)}, got {habit!r}")
    wider_mm = float(rng.uniform(1.0, 2.0))
    if habit == "painted" or not phantom.lesions:
        return replace(phantom, lesions=[replace(lesion, habit="painted") for lesion in phantom.lesions])
    labels = phantom.labels.copy()
    lesions = []
    for lesion in phantom.lesions:
        lesions.append(_outline(phantom, labels, lesion, habit, wider_mm))
    return replace(phantom, labels=labels, lesions=lesions)


def _outline(phantom: Phantom, labels: np.ndarray, lesion: Lesion, habit: str, wider_mm: float) -> Lesion:
    """Write one lesion's contour into `labels`, and give the lesion as it then is."""
    spacing = phantom.spacing_mm
    found = ndimage.find_objects((phantom.labels == lesion.value).astype(np.int8))[0]
    box = tuple(
        slice(max(0, part.start - margin), min(n, part.stop + margin))
        for part, n, margin in zip(
            found, labels.shape, [int(np.ceil((_REACH_MM + 4) / step)) for step in spacing], strict=True
        )
    )
    painted = phantom.labels[box] == lesion.value
    away = ndimage.distance_transform_edt(~painted, sampling=spacing)
    allowed = (away <= _REACH_MM) & (painted | ~_organs(phantom.labels[box]))
    others = (phantom.labels[box] >= FIRST_LESION) & ~painted
    if others.any():
        to_others = ndimage.distance_transform_edt(~others, sampling=spacing)
        allowed &= painted | (to_others > away + 0.5 * min(spacing))
    allowed &= (labels[box] < FIRST_LESION) | painted  # where another's contour has come already
    drawn = _contour(phantom.suv[box], painted, allowed, away, spacing, habit, wider_mm)
    parts, _ = ndimage.label(drawn)
    shared = np.bincount(parts[painted], minlength=parts.max() + 1)
    shared[0] = 0
    drawn = parts == int(shared.argmax()) if shared.any() else painted
    if 2 * np.count_nonzero(drawn & painted) < _LEAST_DICE * (np.count_nonzero(drawn) + np.count_nonzero(painted)):
        return replace(lesion, habit="painted")
    left = painted & ~drawn
    labels[box][left] = _tissue_around(phantom.labels[box])[left]
    labels[box][drawn] = lesion.value
    volume = float(np.count_nonzero(drawn) * np.prod(spacing) / 1000)
    return replace(lesion, habit=habit, volume_ml=volume)


def _contour(
    suv: np.ndarray,
    painted: np.ndarray,
    allowed: np.ndarray,
    away: np.ndarray,
    spacing: Sequence[float],
    habit: str,
    wider_mm: float,
) -> np.ndarray:
    highest = float(suv[painted].max())
    if habit == "half_maximum":
        return allowed & (suv >= 0.5 * highest)
    if habit == "suv_4":
        return allowed & (suv >= _FIXED_SUV) if highest >= 1.5 * _FIXED_SUV else painted
    if habit == "generous":
        return allowed & (away - 0.5 * float(np.mean(spacing)) <= wider_mm)
    steep = ndimage.generic_gradient_magnitude(suv, ndimage.sobel)
    markers = np.where(away > 0.8 * _REACH_MM, 1, 0)
    core = painted & (suv >= 0.7 * highest)
    markers[core if core.any() else painted] = 2
    return allowed & (watershed(steep, markers) == 2)


def _organs(labels: np.ndarray) -> np.ndarray:
    table = np.zeros(int(labels.max()) + 1 + FIRST_LESION, dtype=bool)
    table[[value for value, name in LABELS.items() if name in _NEVER]] = True
    return table[labels]


def _tissue_around(labels: np.ndarray) -> np.ndarray:
    """Each lesion voxel's nearest other tissue."""
    nearest = ndimage.distance_transform_edt(labels >= FIRST_LESION, return_distances=False, return_indices=True)
    return labels[tuple(nearest)]
