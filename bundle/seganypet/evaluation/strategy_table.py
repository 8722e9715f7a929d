"""Strategies compared over paired seeds, as in the ablation of CPCL (ICCV 2025, Table 3)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

CLICKS = (1, 3, 5)


@dataclass(frozen=True)
class RunScore:
    """One trained network on one group of test targets.

    Args:
        strategy: that trained it.
        seed: of its run; runs of one seed are paired.
        group: of targets, "seen" or "unseen" for example.
        dice: mean Dice after 1, 3 and 5 clicks.
    """

    strategy: str
    seed: int
    group: str
    dice: tuple[float, float, float]


def paired_interval(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean and confidence interval (Student's t) of the differences second − first of paired values.

    Returns:
        mean, lower and upper limit; NaN limits for a single pair.
    """
    differences = np.asarray(second, float) - np.asarray(first, float)
    mean = float(differences.mean())
    if len(differences) < 2:
        return mean, float("nan"), float("nan")
    reach = (
        float(stats.t.ppf((1 + level) / 2, len(differences) - 1) * differences.std(ddof=1)) / len(differences) ** 0.5
    )
    return mean, mean - reach, mean + reach


def as_markdown(scores: Sequence[RunScore], strategies: Sequence[str], *, reference: str) -> str:
    """Dice in per cent, mean ± standard deviation over seeds, and paired gains of those after `reference` on it."""
    groups = sorted({score.group for score in scores})
    head = ["strategy", *(f"{group} @{click}" for group in groups for click in CLICKS)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for strategy in strategies:
        cells = [_cell(_values(scores, strategy, group, n)) for group in groups for n in range(len(CLICKS))]
        lines.append(f"| {strategy} | " + " | ".join(cells) + " |")
    for strategy in strategies[strategies.index(reference) + 1 :]:
        cells = []
        for group in groups:
            for n in range(len(CLICKS)):
                pair = _paired(scores, reference, strategy, group, n)
                if not pair[0]:
                    cells.append("–")
                    continue
                mean, low, high = (100 * value for value in paired_interval(*pair))
                cells.append(f"{mean:+.1f}" + ("" if np.isnan(low) else f" [{low:+.1f}, {high:+.1f}]"))
        lines.append(f"| {strategy} − {reference} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_csv(scores: Sequence[RunScore], path: str | Path) -> None:
    """One row a run and group."""
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["strategy", "seed", "group", *(f"dice_{click}" for click in CLICKS)])
        for score in scores:
            writer.writerow([score.strategy, score.seed, score.group, *(f"{value:.4f}" for value in score.dice)])


def _values(scores: Sequence[RunScore], strategy: str, group: str, click: int) -> dict[int, float]:
    return {one.seed: one.dice[click] for one in scores if (one.strategy, one.group) == (strategy, group)}


def _paired(
    scores: Sequence[RunScore], first: str, second: str, group: str, click: int
) -> tuple[list[float], list[float]]:
    a, b = _values(scores, first, group, click), _values(scores, second, group, click)
    seeds = sorted(a.keys() & b.keys())
    return [a[seed] for seed in seeds], [b[seed] for seed in seeds]


def _cell(values: dict[int, float]) -> str:
    if not values:
        return "–"
    percent = 100 * np.array(list(values.values()))
    return f"{percent.mean():.1f} ± {percent.std(ddof=1):.1f}" if len(percent) > 1 else f"{percent.mean():.1f}"
