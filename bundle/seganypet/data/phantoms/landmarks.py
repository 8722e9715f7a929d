"""Where a label map's organs lie tells where the template's do: mm of the map → mm of the template, axis by axis."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

from seganypet.data.phantoms.canvas import Canvas
from seganypet.data.phantoms.label_map_names import Tissue, plain_name

AxisMap = Callable[[np.ndarray], np.ndarray]

# Mean centres of the procedural organs; the two lungs as one.
_CENTRES = {
    "urinary_bladder": (0, 20, 66),
    "kidney": (0, -41, 296),
    "liver": (52, 13, 367),
    "lung": (0, -2, 496),
    "thyroid_gland": (0, 16, 628),
    "parotid_gland": (0, 0, 728),
    "brain": (0, -8, 827),
}
_HEIGHT_MARKS = ("urinary_bladder", "liver", "lung", "thyroid_gland", "parotid_gland", "brain")  # a body's order
_BONES = {  # centres of vertebrae, for maps that hold fewer than two of those organs whole
    r"vertebrae_L5|lumbar5": (0, -55, 178),
    r"vertebrae_L2|lumbar2": (0, -55, 290),
    r"vertebrae_T11|thoracic11": (0, -75, 378),
    r"vertebrae_T6": (0, -85, 500),
    r"vertebrae_C7|cervical7": (0, -45, 628),
    r"vertebrae_C3|cervical3": (0, -28, 690),
}


def template_axes(
    values: np.ndarray, tissues: Mapping[int, Tissue], names: Mapping[int, str], canvas: Canvas
) -> tuple[AxisMap, AxisMap, AxisMap]:
    """Maps from the canvas' present coordinates, a label map's own, to the template's.

    Left-right and front-back are shifts; height is piecewise linear through the bladder (or the crotch), the liver, the
    lungs and the brain, as far as they lie wholly inside the map.

    Args:
        values: the map's values on the canvas [I, J, K].
        tissues: what they mean.
        names: what the map calls them.
        canvas: its coordinates are mm of the map.
    """
    places = {}
    for tissue, place in _CENTRES.items():
        mask = _mask(values, [v for v, t in tissues.items() if t.uptake == tissue])
        if (centre := _whole_centre(mask, canvas)) is not None:
            places[tissue] = (centre, place)
    heights = [places[name] for name in _HEIGHT_MARKS if name in places]
    if len(heights) < 2:
        for pattern, place in _BONES.items():
            mask = _mask(values, [v for v, name in names.items() if re.fullmatch(pattern, plain_name(name), re.I)])
            if (centre := _whole_centre(mask, canvas)) is not None:
                places[pattern] = (centre, place)
                heights.append(places[pattern])
    bones = _mask(values, [v for v, t in tissues.items() if t.label == "skeleton"])
    middle = float(canvas.xyz[0][bones if bones.any() else values > 0].mean())
    backs = [centre[1] - place[1] for name, (centre, place) in places.items() if name != "brain" or len(places) == 1]
    back = float(np.mean(backs)) if backs else float(canvas.xyz[1][values > 0].mean())
    marks: list[tuple[float, float]] = []
    for centre, place in sorted(heights, key=lambda mark: mark[1][2]):
        if not marks or (centre[2] - marks[-1][0] >= 40 and place[2] - marks[-1][1] >= 40):
            marks.append((float(centre[2]), float(place[2])))
    if "urinary_bladder" not in places:
        crotch = _crotch(values, tissues, canvas, middle)
        marks = marks if crotch is None else [(crotch, 0.0), *marks]
    return (lambda x: x - np.float32(middle), lambda y: y - np.float32(back), _through(marks, canvas))


def _whole_centre(mask: np.ndarray, canvas: Canvas) -> list[float] | None:
    """Mean coordinates of an organ, None where it is absent or cut by the map's lower or upper end."""
    ends = np.flatnonzero(mask.any((0, 1)))
    if not len(ends) or ends[0] <= 1 or ends[-1] >= mask.shape[2] - 2:
        return None
    return [float(c[mask].mean()) for c in canvas.xyz]


def _mask(values: np.ndarray, wanted: list[int]) -> np.ndarray:
    lookup = np.zeros(256, dtype=bool)
    lookup[wanted] = True
    return lookup[values]


def _crotch(values: np.ndarray, tissues: Mapping[int, Tissue], canvas: Canvas, middle: float) -> float | None:
    """Height where the legs part, None in a map without a body or without legs."""
    if not any(tissue.label == "muscle" for tissue in tissues.values()):
        return None
    column = int(np.argmin(np.abs(canvas.axes[0] - middle)))
    empty = np.flatnonzero(~(values[column] > 0).any(0))
    below = empty[empty < values.shape[2] * 0.6]
    return float(canvas.axes[2][below[-1] + 1]) if len(below) else None


def _through(marks: list[tuple[float, float]], canvas: Canvas) -> AxisMap:
    """A rising piecewise linear map through (map, template) heights, of slope 1 beyond them."""
    if not marks:
        marks = [(float(canvas.axes[2].mean()), 300.0)]
    here, there = (np.array(side, dtype=np.float32) for side in zip(*marks, strict=True))
    if len(marks) > 1 and (np.diff(here) < 40).any():  # not a body's order: only shift
        here, there = here.mean(keepdims=True), there.mean(keepdims=True)
    here = np.concatenate([here[:1] - 1000, here, here[-1:] + 1000])
    there = np.concatenate([there[:1] - 1000, there, there[-1:] + 1000])
    return lambda z: np.interp(z, here, there).astype(np.float32)
