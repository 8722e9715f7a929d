"""The protocol: click or draw at the largest error, segment, measure, and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seganypet.clicks import Prompt
from seganypet.clicks.simulated_reader import next_prompt
from seganypet.evaluation.metrics import dice

Segment = Callable[[Sequence[Prompt]], np.ndarray]


def click_curve(
    segment: Segment,
    target: np.ndarray,
    spacing_mm: tuple[float, float, float],
    clicks: int = 5,
    reader: str = "click",
) -> list[float]:
    """Dice after every prompt, each at the largest connected error of the answer before; a click at its middle.

    This is Dice@k, the answer after exactly k prompts; the reference's older evaluation reported the best so far.

    Args:
        segment: ordered prompts → bool mask on the target's grid.
        target: bool [i, j, k], not empty.
        spacing_mm: of its voxels.
        clicks: how many prompts to make; where nothing is wrong any more the last value is repeated.
        reader: what is drawn, see `next_prompt`.

    Returns:
        `clicks` values in [0, 1].

    Raises:
        ValueError: an empty target.
    """
    if not target.any():
        raise ValueError("the target is empty: there is nothing to click on")
    made: list[Prompt] = []
    mask = np.zeros_like(target)
    curve: list[float] = []
    for _ in range(clicks):
        prompt = next_prompt(reader, len(made), mask, target, spacing_mm)
        if prompt is not None:
            made.append(prompt)
            mask = segment(made)
        curve.append(dice(mask, target))
    return curve
