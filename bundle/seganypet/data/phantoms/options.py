"""What a phantom is made with besides its anatomy, and the part of the body that is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from seganypet.data.phantoms.canvas import Canvas, Region
from seganypet.data.phantoms.lesion_growth import Lesion
from seganypet.data.phantoms.lesion_maps import LesionMap

MOST_VOXELS = 8_000_000  # of a region
_SMALLEST_MM = 60.0


@dataclass(frozen=True)
class Options:
    """What a phantom is made with besides its anatomy.

    Args:
        tracer: one of `UPTAKES`: "fdg", "psma" or "dotatate".
        brain_pattern: NIfTI of a real brain's uptake to lay into the phantom's.
        lesion_shapes: label maps of real lesions: in half of the phantoms, the lesions of one of them come first.
        region_mm: keep only a cube of this side around one of the lesions (smaller where it would hold more than eight
            million voxels). Maps are then cut before they are painted, so that voxels of 1 mm cost seconds.
        faint_share: how many of the lesions under 10 mm in radius are faint and even, 0 to 1.

    Raises:
        ValueError: a region under 60 mm, or a share outside 0 to 1.
    """

    tracer: str = "fdg"
    brain_pattern: str | None = None
    lesion_shapes: tuple[LesionMap, ...] = ()
    region_mm: float | None = None
    faint_share: float = 0.0

    def __post_init__(self) -> None:
        if self.region_mm is not None and not self.region_mm >= _SMALLEST_MM:
            raise ValueError(f"region_mm must be {_SMALLEST_MM:g} or more, got {self.region_mm!r}")
        if not 0 <= self.faint_share <= 1:
            raise ValueError(f"faint_share must lie in 0 to 1, got {self.faint_share!r}")


PLAIN = Options()


def region_side_mm(region_mm: float, spacing_mm: Sequence[float]) -> float:
    """The side of a region's cube, so that it holds no more than `MOST_VOXELS`."""
    return min(region_mm, float((MOST_VOXELS * np.prod(spacing_mm)) ** (1 / 3)))


def region_around(canvas: Canvas, lesions: Sequence[Lesion], region_mm: float, rng: np.random.Generator) -> Region:
    """Slices of a cube around one of the lesions, off its middle by up to a third, or around anything labelled."""
    side = region_side_mm(region_mm, canvas.spacing_mm)
    if all(n * step <= 1.02 * side for n, step in zip(canvas.shape, canvas.spacing_mm, strict=True)):
        return slice(0, canvas.shape[0]), slice(0, canvas.shape[1]), slice(0, canvas.shape[2])
    if lesions:
        value = lesions[int(rng.integers(len(lesions)))].value
        box = ndimage.find_objects((canvas.labels == value).astype(np.int8))[0]
        middle = [(part.start + part.stop) / 2 for part in box]
    else:
        places = np.flatnonzero(canvas.labels)
        middle = list(np.unravel_index(int(rng.choice(places)), canvas.shape))
    parts = []
    for centre, step, n in zip(middle, canvas.spacing_mm, canvas.shape, strict=True):
        size = min(n, round(side / step))
        start = round(centre + rng.uniform(-0.3, 0.3) * size - size / 2)
        start = min(max(0, start), n - size)
        parts.append(slice(start, start + size))
    return parts[0], parts[1], parts[2]
