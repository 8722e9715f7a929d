"""Later clicks on a target that is too large for the finest rung, looked at close up.

A coarser rung answers such a click first, as a whole. Then a window of the finest rung around the click, prompted with
that answer, says where the border runs there. Its logits count for all in the middle and for less and less towards the
faces, so that no cut shows; they stay with the target, the newest on top. (f-BRS, CVPR 2020, zooms in likewise, and
FocalClick, CVPR 2022, refines around the click.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from seganypet.inference.click_rules import NEIGHBOURS
from seganypet.inference.click_state import CloseUp, WorkingClick
from seganypet.inference.rung_view import RungView
from seganypet.inference.tiles import Blend, Box, resampled
from seganypet.inference.windows import Origin

WHOLE_SHARE = 0.3  # of a close-up's side, around its middle, where it alone counts


def known_in(window: Origin, fine: RungView, shown: Blend, rung: RungView, close_ups: Iterable[CloseUp]) -> Blend:
    """A target's logits in a window of the finest rung, 0 where nothing is known.

    Args:
        window: its first voxel.
        fine: the finest rung.
        shown: the target's logits on its own rung.
        rung: that one.
        close_ups: of the target, the newest last.
    """
    known = resampled(shown, rung.grid, fine.grid, window, fine.cells, rung.stride)
    for one in close_ups:
        here, there = one.field.cells(window, known.logits.shape, fine.stride)
        known.logits[here] = torch.lerp(known.logits[here], one.logits[there], _fade(fine.cells)[there])
    return known


def paint_closely(
    shown: Blend, rung: RungView, fine: RungView, close_ups: Sequence[CloseUp], inside: Iterable[WorkingClick] | None
) -> tuple[Box, np.ndarray]:
    """The target on the volume's own grid.

    Args:
        shown, rung, fine, close_ups: as in `known_in`.
        inside: the positive clicks: components without one within a cell of `rung` are left out; None keeps all.

    Returns:
        An index box in the volume that holds the target, as slices (i, j, k), and bool [i, j, k] in it.
    """
    cells = _cells_over(shown, rung, fine, close_ups)
    around = torch.where(shown.covered[cells], shown.logits[cells], -1.0)
    x, y, z = (first + side.start * rung.stride for first, side in zip(shown.origin, cells, strict=True))
    box, logits = rung.grid.logits_to_source(around, (x, y, z), rung.stride)
    fade, layers = _fade(fine.cells), [(box, logits, torch.ones(()))]
    for one in close_ups:
        box, logits = fine.grid.logits_to_source(one.logits, one.window, fine.stride)
        layers.append((box, logits, fine.grid.logits_to_source(fade, one.window, fine.stride)[1]))
    first = [min(box[axis].start for box, _, _ in layers) for axis in range(3)]
    last = [max(box[axis].stop for box, _, _ in layers) for axis in range(3)]
    field = torch.full([stop - start for start, stop in zip(first, last, strict=True)], -1.0)
    for box, logits, weight in layers:
        here = tuple(slice(side.start - start, side.stop - start) for side, start in zip(box, first, strict=True))
        field[here] = torch.lerp(field[here], logits, weight)
    mask = (field > 0).numpy()
    i, j, k = (slice(start, stop) for start, stop in zip(first, last, strict=True))
    return (i, j, k), mask if inside is None else _held(mask, first, rung, inside)


def _cells_over(shown: Blend, rung: RungView, fine: RungView, close_ups: Sequence[CloseUp]) -> Box:
    """The box of a lattice's cells that holds the target, the close-ups and one cell more on each side."""
    mask, scale, box = shown.logits > 0, fine.grid.spacing_mm / rung.grid.spacing_mm, []
    for axis, length in enumerate(mask.shape):
        ends = torch.nonzero(mask.movedim(axis, 0).flatten(1).any(1)).flatten()[[0, -1]].tolist() if mask.any() else []
        middles = (rung.grid.shape[axis] - 1) / 2 - shown.origin[axis], (fine.grid.shape[axis] - 1) / 2
        for one in close_ups:
            first = one.window[axis]
            ends += [((n - middles[1]) * scale + middles[0]) / rung.stride for n in (first, first + fine.size)]
        box.append(slice(max(0, math.floor(min(ends)) - 1), min(length, math.ceil(max(ends)) + 2)))
    return (box[0], box[1], box[2])


def _held(mask: np.ndarray, first: Sequence[int], rung: RungView, inside: Iterable[WorkingClick]) -> np.ndarray:
    """The components of a mask, whose first voxel is the volume's `first`, that hold a click or lie a cell off one."""
    parts, count = ndimage.label(mask, NEIGHBOURS)
    held = np.zeros(count + 1, dtype=bool)
    reach = np.ceil(rung.cell_mm / np.linalg.norm(rung.grid.source_affine[:3, :3], axis=0)).astype(int)
    for click in inside:
        place = [round(v) - start for v, start in zip(rung.grid.to_source(click.point_mm), first, strict=True)]
        near = tuple(slice(max(0, p - r), max(0, p + r + 1)) for p, r in zip(place, reach, strict=True))
        held[parts[near]] = True
    held[0] = False
    return held[parts]


def _fade(cells: int) -> Tensor:
    """[L, L, L] how much a close-up counts: 1 in its middle, near 0 at its faces."""
    axis = ((torch.arange(cells) + 0.5) / cells * 2 - 1).abs()
    axis = ((1 - axis) / (1 - WHOLE_SHARE)).clamp(max=1)
    return axis[:, None, None] * axis[None, :, None] * axis[None, None, :]
