"""The click protocol: click the middle of the largest error, segment, measure, and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seganypet.clicks import Click, centre_click
from seganypet.evaluation.metrics import dice

Segment = Callable[[Sequence[Click]], np.ndarray]


def click_curve(
    segment: Segment, target: np.ndarray, spacing_mm: tuple[float, float, float], clicks: int = 5
) -> list[float]:
    """Dice after every click, each at the middle of the largest connected error of the answer before.

    This is Dice@k, the answer after exactly k clicks; the reference's older evaluation reported the best so far.

    Args:
        segment: ordered clicks → bool mask on the target's grid.
        target: bool [i, j, k], not empty.
        spacing_mm: of its voxels.
        clicks: how many to make; where nothing is wrong any more the last value is repeated.

    Returns:
        `clicks` values in [0, 1].

    Raises:
        ValueError: an empty target.
    """
    if not target.any():
        raise ValueError("the target is empty: there is nothing to click on")
    made: list[Click] = []
    mask = np.zeros_like(target)
    curve: list[float] = []
    for _ in range(clicks):
        click = centre_click(mask, target, spacing_mm)
        if click is not None:
            made.append(click)
            mask = segment(made)
        curve.append(dice(mask, target))
    return curve
