"""What a reader takes for granted of an answer, whatever the network says: the last step before a mask is painted.

1. A positive click is in the answer, a negative one is not; of two in one cell the later wins.
2. A negative click that the network left inside parts the answer: its side of the lowest saddle between it and the
   positive clicks goes, found by a watershed of the logits from all clicks.
3. From a target's third click on, a positive click adds and a negative one takes away, and only where they were made:
   of all that the network would change, what is not connected with the newest click stays as it was, and what is nearer
   to an earlier click of the other sign. (FocalClick, CVPR 2022, merges a new answer into the old mask likewise.)
4. Every component of the answer holds a positive click; cells that share a corner are of one component.

The network's own logits stay as they are: they are what its next decode is prompted with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from skimage.segmentation import watershed
from torch import Tensor

AROUND_MM = 4.0  # a click that the network denies brings the cells this near that it denies no more than the click's
FORCED = 0.5  # logit of cells that a rule turns around
SETTLED_FROM = 3  # clicks: the first two say what is meant, and change the answer as a whole
NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)

Cell = tuple[int, int, int]


def obey_clicks(
    logits: Tensor,
    clicks: Sequence[tuple[Cell, bool]],
    cell_mm: float,
    before: Tensor | None = None,
    *,
    part: bool = False,
) -> Tensor:
    """Logits whose positive cells obey the rules above.

    Args:
        logits: [X, Y, Z] of one target.
        clicks: cell and sign of each click on this target, in the order they were made; cells outside are passed over.
        cell_mm: size of a cell.
        before: [X, Y, Z] of what this function returned before the last click, NaN where it had no answer; None where
            there was none.
        part: whether this is a part of the target alone, in which rule 4 is not to be seen.

    Returns:
        [X, Y, Z], a copy; of a whole target all ≤ 0 where no positive click lies in it.
    """
    field = logits.numpy().copy()
    inside = [(cell, positive) for cell, positive in clicks if _holds(field.shape, cell)]
    final = dict(inside)  # the later of two in one cell
    positives = [cell for cell, positive in final.items() if positive]
    negatives = [cell for cell, positive in final.items() if not positive]
    for cell in positives:
        if field[cell] <= 0:
            _bring(field, cell, AROUND_MM / cell_mm)
    if positives and any(field[cell] > 0 for cell in negatives):
        _part(field, positives, negatives)
    for cell in negatives:
        field[cell] = min(field[cell], -FORCED)
    for cell in positives:
        field[cell] = max(field[cell], FORCED)
    if before is not None and len(inside) >= SETTLED_FROM and _holds(field.shape, clicks[-1][0]):
        _settle(field, before.numpy(), inside, AROUND_MM / cell_mm)
    if not part:
        _drop_others(field, positives)
    return torch.from_numpy(field)


def _holds(shape: tuple[int, ...], cell: Cell) -> bool:
    return all(0 <= index < length for index, length in zip(cell, shape, strict=True))


def _bring(field: np.ndarray, cell: Cell, radius: float) -> None:
    """Turn a denied click's cell around, with those near it that are denied no more and connected to it."""
    reach = int(radius)
    box = tuple(slice(max(0, c - reach), min(n, c + reach + 1)) for c, n in zip(cell, field.shape, strict=True))
    steps = (np.arange(side.start, side.stop) - middle for side, middle in zip(box, cell, strict=True))
    offsets = np.stack(np.meshgrid(*steps, indexing="ij"))
    alike = (field[box] >= field[cell]) & ((offsets**2).sum(0) <= radius**2)
    parts, _ = ndimage.label(alike, NEIGHBOURS)
    mine = parts == parts[tuple(c - s.start for c, s in zip(cell, box, strict=True))]
    field[box][mine] = np.maximum(field[box][mine], FORCED)


def _part(field: np.ndarray, positives: Sequence[Cell], negatives: Sequence[Cell]) -> None:
    """Take away the negative clicks' basins of the answer."""
    mask = field > 0
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    markers = np.zeros(field.shape, np.int32)
    for cell in negatives:
        markers[cell] = 2
    for cell in positives:
        markers[cell] = 1
    basins = watershed(-field[box], markers[box], mask=mask[box], connectivity=NEIGHBOURS)
    taken = basins == 2
    field[box][taken] = np.minimum(field[box][taken], -FORCED)


def _settle(field: np.ndarray, before: np.ndarray, clicks: Sequence[tuple[Cell, bool]], radius: float) -> None:
    """Take back what changed and the newest click, the last, did not ask for."""
    changed = ((field > 0) != (before > 0)) & ~np.isnan(before)
    if not changed.any():
        return
    box = ndimage.find_objects(changed.astype(np.uint8))[0]
    corner = np.array([side.start for side in box])
    changed, positive = changed[box], clicks[-1][1]
    cell = clicks[-1][0] - corner
    asked = changed & ((field[box] > 0) == positive)
    others = [other - corner for other, sign in clicks[:-1] if sign != positive]
    if others:
        cells = np.argwhere(asked)
        away = np.min([((cells - other) ** 2).sum(1) for other in others], axis=0)
        asked[tuple(cells[away < ((cells - cell) ** 2).sum(1)].T)] = False
    parts, count = ndimage.label(asked, NEIGHBOURS)
    taken = np.zeros(count + 1, dtype=bool)
    taken[parts[tuple(slice(max(0, round(c - radius)), max(0, round(c + radius) + 1)) for c in cell)]] = True
    taken[0] = False
    kept = changed & ~taken[parts]
    field[box][kept] = before[box][kept]


def _drop_others(field: np.ndarray, positives: Sequence[Cell]) -> None:
    """Turn around every component, corners counting as contact, that holds no positive click."""
    mask = field > 0
    parts, count = ndimage.label(mask, NEIGHBOURS)
    held = np.zeros(count + 1, dtype=bool)
    held[[parts[cell] for cell in positives]] = True
    field[mask & ~held[parts]] = -FORCED


def force_voxels(mask: np.ndarray, clicks: Sequence[tuple[Cell, bool]]) -> None:
    """Rule 1 on the volume's own voxels, in place: where they are finer than a cell, or two clicks share a cell."""
    for cell, positive in dict(clicks).items():
        mask[cell] = positive
