"""Where a label map's organs lie tells where the template's do: mm of the map → mm of the template, axis by axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from seganypet.data.phantoms.canvas import Canvas
from seganypet.data.phantoms.label_map_names import Tissue

AxisMap = Callable[[np.ndarray], np.ndarray]

# Mean centres of the procedural organs; the two lungs as one.
_CENTRES = {
    "urinary_bladder": (0, 20, 66),
    "kidney": (0, -41, 296),
    "liver": (52, 13, 367),
    "lung": (0, -2, 496),
    "brain": (0, -8, 827),
}
_HEIGHT_MARKS = ("urinary_bladder", "liver", "lung", "brain")  # far enough apart to order a body


def template_axes(
    values: np.ndarray, tissues: Mapping[int, Tissue], canvas: Canvas
) -> tuple[AxisMap, AxisMap, AxisMap]:
    """Maps from the canvas' present coordinates, a label map's own, to the template's.

    Left-right and front-back are shifts; height is piecewise linear through the bladder (or the crotch), the liver, the
    lungs and the brain, as far as they lie wholly inside the map.

    Args:
        values: the map's values on the canvas [I, J, K].
        tissues: what they mean.
        canvas: its coordinates are mm of the map.
    """
    centres = {}
    for tissue in _CENTRES:
        mask = _mask(values, tissues, lambda t, tissue=tissue: t.uptake == tissue)  # type: ignore[misc]
        ends = np.flatnonzero(mask.any((0, 1)))
        if len(ends) and ends[0] > 1 and ends[-1] < values.shape[2] - 2:
            centres[tissue] = [float(c[mask].mean()) for c in canvas.xyz]
    bones = _mask(values, tissues, lambda t: t.label == "skeleton")
    middle = float(canvas.xyz[0][bones if bones.any() else values > 0].mean())
    backs = [centre[1] - _CENTRES[name][1] for name, centre in centres.items() if name != "brain"]
    back = float(np.mean(backs)) if backs else float(canvas.xyz[1][values > 0].mean())
    marks = [(centres[name][2], float(_CENTRES[name][2])) for name in _HEIGHT_MARKS if name in centres]
    if "urinary_bladder" not in centres:
        crotch = _crotch(values, tissues, canvas, middle)
        marks = marks if crotch is None else [(crotch, 0.0), *marks]
    return (lambda x: x - np.float32(middle), lambda y: y - np.float32(back), _through(marks, canvas))


def _mask(values: np.ndarray, tissues: Mapping[int, Tissue], wanted: Callable[[Tissue], bool]) -> np.ndarray:
    lookup = np.zeros(256, dtype=bool)
    lookup[[value for value, tissue in tissues.items() if wanted(tissue)]] = True
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
