"""Later clicks on a target that is too large for the finest rung, looked at close up.

A coarser rung answers such a click first, as a whole. Then a window of the finest rung around the click, prompted with
that answer, says where the border runs there. Its logits count for all in the middle and for less and less towards the
faces, so that no cut shows; they stay with the target, the newest on top. (f-BRS, CVPR 2020, zooms in likewise, and
FocalClick, CVPR 2022, refines around the click.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from seganypet.inference.click_rules import NEIGHBOURS
from seganypet.inference.click_state import CloseUp
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
    shown: Blend, rung: RungView, fine: RungView, close_ups: Sequence[CloseUp], inside: Iterable[tuple[float, ...]]
) -> tuple[Box, np.ndarray]:
    """The target on the volume's own grid, of components alone that hold one of its positive clicks.

    Args:
        shown, rung, fine, close_ups: as in `known_in`, of two close-ups or fewer in a place the newer counts.
        inside: voxel indices of the positive clicks.

    Returns:
        An index box in the volume that holds the target, as slices (i, j, k), and bool [i, j, k] in it.
    """
    around = torch.where(shown.covered, shown.logits, -1.0)
    box, logits = rung.grid.logits_to_source(around, shown.origin, rung.stride)
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
    parts, count = ndimage.label(mask, NEIGHBOURS)
    held = np.zeros(count + 1, dtype=bool)
    for voxel in inside:
        place = tuple(round(v) - start for v, start in zip(voxel, first, strict=True))
        if all(0 <= p < n for p, n in zip(place, mask.shape, strict=True)):
            held[parts[place]] = True
    held[0] = False
    x, y, z = (slice(start, stop) for start, stop in zip(first, last, strict=True))
    return (x, y, z), held[parts]


def _fade(cells: int) -> Tensor:
    """[L, L, L] how much a close-up counts: 1 in its middle, near 0 at its faces."""
    axis = ((torch.arange(cells) + 0.5) / cells * 2 - 1).abs()
    axis = ((1 - axis) / (1 - WHOLE_SHARE)).clamp(max=1)
    return axis[:, None, None] * axis[None, :, None] * axis[None, None, :]
