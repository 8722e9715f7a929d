"""Boxes and contours as mask prompts, for networks trained on them.

A mask prompt is the logits of an earlier answer, 0 where nothing is known. A box says that the target is not outside,
and nothing of its inside: said to be perhaps inside (1, with −8 outside), it came out as large as its box. A contour in
one plane says what is inside and what is outside it there, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

OUTSIDE_BOX = -3.0
INSIDE_BOX = 0.0
CONTOUR = 4.0


def box_logits(
    sides: Sequence[tuple[int, int]], shape: Sequence[int], device: torch.device | str | None = None
) -> Tensor:
    """[*shape] logits of a box of half-open ranges; a range may begin or end outside the shape."""
    logits = torch.full(tuple(shape), OUTSIDE_BOX, device=device)
    logits[tuple(slice(max(0, low), max(0, high)) for low, high in sides)] = INSIDE_BOX
    return logits


def contour_logits(drawn: Tensor, axis: int, plane: int, length: int) -> Tensor:
    """Logits of a filled contour in one plane.

    Args:
        drawn: [U, V] bool, what the contour surrounds.
        axis: that the plane stands across, 0 to 2.
        plane: its number along that axis.
        length: planes along that axis.

    Returns:
        [.., .., ..] with `length` along `axis`; 0 outside the plane.
    """
    logits = torch.zeros((length, *drawn.shape), device=drawn.device)
    logits[plane] = torch.where(drawn, CONTOUR, -CONTOUR)
    return logits.movedim(0, axis)
