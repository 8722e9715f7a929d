"""An ablation's curves: Dice per click of each arm, and what CPCL's flips did to the labels."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seganypet.evaluation.strategy_table import CLICKS, RunScore


def plot_scores(scores: Sequence[RunScore], arms: Sequence[str], path: Path) -> None:
    """Dice per click of each arm, one axes a group, one line a seed."""
    groups = sorted({one.group for one in scores})
    figure = Figure(figsize=(4 * len(groups), 3.5), layout="constrained")
    for axes, group in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups, strict=True):
        for n, arm in enumerate(arms):
            lines = [one.dice for one in scores if (one.strategy, one.group) == (arm, group)]
            for line in lines:
                axes.plot(CLICKS, line, color=f"C{n}", alpha=0.3)
            if lines:
                axes.plot(CLICKS, np.mean(lines, 0), color=f"C{n}", marker="o", label=arm)
        axes.set(title=group, xlabel="clicks", ylabel="Dice", xticks=CLICKS)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper")
    figure.savefig(path, dpi=120)


def plot_flips(paths: Sequence[Path], path: Path) -> None:
    """The share of CPCL's flips that correct the label, by epoch, of each run."""
    if not paths:
        return
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    for file in paths:
        rows = {int(row["epoch"]): row for row in csv.DictReader(file.open())}  # a resumed run repeats an epoch
        flipped = {epoch: int(row["flipped_voxels"]) for epoch, row in rows.items()}
        shares = [int(row["corrected_voxels"]) / flipped[epoch] if flipped[epoch] else np.nan
                  for epoch, row in rows.items()]  # fmt: skip
        axes.plot(list(rows), shares, marker="o", label=file.parent.name)
    axes.set(xlabel="epoch", ylabel="share of flips that correct", ylim=(0, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    figure.savefig(path, dpi=120)
