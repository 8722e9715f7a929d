"""How each prompt reaches a network: as clicks, as mask prompts, and as rules on the volume's own voxels.

`vit_b` as released was trained on clicks and its own previous logits alone, and its prompt encoder holds no box
corners. `compact`, where its settings say `drawn_masks`, was trained on boxes and contours as mask prompts, too. So:

- **click**: as it is.
- **scribble**: positive, some clicks far from each other along it, the first at its middle, and its voxels belong to
  the answer. Negative, a click where the answer so far is deepest under it; its voxels do not belong.
- **box**, **lasso**: positive, a click at the middle of what they surround, and where the weights know it the drawing
  itself, as the mask prompt of the first answer; a box with `limit` keeps the answer inside. Negative, as a negative
  scribble.
- **initial mask**: the mask prompt, see `mask_refinement`.

Where the answer so far has nothing under a negative drawing, there is nothing to click on. A later prompt wins over an
earlier one on the voxels that it draws itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import SupportsInt

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from seganypet.clicks import Box, Click, Lasso, Scribble, VoxelSet
from seganypet.clicks.voxel_set import smallest_box
from seganypet.pet import PetVolume

SCRIBBLE_CLICKS = 3


@dataclass(frozen=True)
class Paint:
    """Voxels that a reader has decided."""

    voxels: VoxelSet
    positive: bool


@dataclass(frozen=True)
class DrawnClick(Click):
    """A positive click that stands for a drawing.

    Args:
        drawing: what the network sees as its mask prompt.
    """

    drawing: Box | Lasso | None = None


@dataclass(frozen=True)
class Limit:
    """A box that the answer must not leave."""

    box: Box


Step = Click | Paint | Limit


def steps_of(
    prompt: Click | Scribble | Lasso | Box, volume: PetVolume, answer: Callable[[], NDArray[np.bool_]]
) -> list[Step]:
    """A prompt as clicks and rules, in the order in which they count.

    Args:
        prompt: any but an initial mask; inside the volume.
        volume: what is segmented.
        answer: gives the mask before this prompt, bool [i, j, k]; asked for negative drawings only.
    """
    if isinstance(prompt, Click):
        return [prompt]
    drawn = drawn_voxels(prompt)
    steps: list[Step] = []
    if not prompt.positive:
        under = answer()[drawn.box] & drawn.array()
        if under.any():
            steps.append(Click(_deepest(under, drawn.start, volume.spacing_mm), positive=False))
        return [*steps, Paint(drawn, False)]
    if isinstance(prompt, Scribble):
        return [*(Click(ijk) for ijk in _spread(drawn, volume.spacing_mm, SCRIBBLE_CLICKS)), Paint(drawn, True)]
    if isinstance(prompt, Box) and prompt.limit:
        steps.append(Limit(prompt))
    if isinstance(prompt, Box):
        i, j, k = ((low + high - 1) // 2 for low, high in prompt.ranges)
        return [*steps, DrawnClick((i, j, k), True, prompt)]
    return [*steps, DrawnClick(_spread(drawn, volume.spacing_mm, 1)[0], True, prompt)]


def standing_limits(steps: Sequence[Step]) -> tuple[list[Box], list[Click]]:
    """The limits that hold after some steps, and the positive clicks before the first of them.

    Limits hold together, the answer may be in any of their boxes, until a positive click falls outside all of them.
    """
    limits: list[Box] = []
    clicks: list[Click] = []
    before: list[Click] = []
    for step in steps:
        if isinstance(step, Limit):
            before = before if limits else list(clicks)
            limits.append(step.box)
        elif isinstance(step, Click) and step.positive:
            clicks.append(step)
            if not any(_holds(box, step) for box in limits):
                limits = []
    return limits, before


def apply_steps(mask: NDArray[np.bool_], steps: Sequence[Step]) -> None:
    """The rules on the volume's own voxels, in place and in order.

    A limit (see `standing_limits`) is for what comes with it and after: what lies outside it and holds a click from
    before it stays.
    """
    limits, before = standing_limits(steps)
    if limits:
        outside = mask.copy(order="K")
        for box in limits:
            outside[tuple(slice(*side) for side in box.ranges)] = False
        mask &= ~outside
        kept = [click.voxel for click in before if outside[click.voxel]]
        where = smallest_box(outside) if kept else None
        if where is not None:
            parts, _ = ndimage.label(outside[where])
            numbers = [parts[tuple(v - side.start for v, side in zip(voxel, where, strict=True))] for voxel in kept]
            mask[where] |= np.isin(parts, numbers)
    for step in steps:
        if isinstance(step, Paint):
            mask[step.voxels.box][step.voxels.array()] = step.positive
        elif isinstance(step, Click):
            mask[step.voxel] = step.positive


def _holds(box: Box, click: Click) -> bool:
    return all(low <= v < high for (low, high), v in zip(box.ranges, click.voxel, strict=True))


def drawn_voxels(prompt: Scribble | Lasso | Box) -> VoxelSet:
    """The voxels a drawing stands for: a lasso is filled in each plane of the axis it is thinnest along."""
    if isinstance(prompt, Box):
        shape = tuple(high - low for low, high in prompt.ranges)
        i, j, k = (low for low, _ in prompt.ranges)
        return VoxelSet.of(np.ones(shape, bool), (i, j, k))
    if isinstance(prompt, Scribble):
        return prompt.voxels
    array = prompt.voxels.array()
    thin = int(np.argmin(array.shape))
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in np.moveaxis(array, thin, 0)], axis=thin)
    return VoxelSet.of(filled, prompt.voxels.start)


def _spread(drawn: VoxelSet, spacing_mm: Sequence[float], most: int) -> list[tuple[int, int, int]]:
    """Voxels of a stroke far from each other: the one nearest to its middle, then the farthest from those chosen."""
    voxels = np.argwhere(drawn.array())
    places = voxels * np.asarray(spacing_mm)
    chosen = [int(((places - places.mean(0)) ** 2).sum(1).argmin())]
    while len(chosen) < min(most, len(voxels)):
        apart = np.min([((places - places[one]) ** 2).sum(1) for one in chosen], axis=0)
        chosen.append(int(apart.argmax()))
    return [_shifted(voxels[one], drawn.start) for one in chosen]


def _deepest(mask: NDArray[np.bool_], start: Sequence[int], spacing_mm: Sequence[float]) -> tuple[int, int, int]:
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    return _shifted(np.unravel_index(int(depth.argmax()), mask.shape), start)


def _shifted(voxel: Sequence[SupportsInt] | NDArray, start: Sequence[int]) -> tuple[int, int, int]:
    i, j, k = (int(v) + int(first) for v, first in zip(voxel, start, strict=True))
    return (i, j, k)
