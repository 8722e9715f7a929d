"""Dice per click over a data list, beside what a threshold would have given, by size and by situation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from scipy.integrate import trapezoid

from seganypet.clicks import Click, Prompt
from seganypet.data.data_list import Entry
from seganypet.data.label_reading import read_label_map
from seganypet.data.targets import is_lesion, names_of, parts_of
from seganypet.evaluation.metrics import lesion_f1, surface_dice
from seganypet.evaluation.protocol import click_curve
from seganypet.evaluation.situation import situations
from seganypet.evaluation.threshold_region import best_threshold_dice, threshold_region
from seganypet.inference import ClickSegmenter
from seganypet.pet import PetVolume, read_pet

BANDS_ML = (1.0, 3.0, 10.0, 30.0)
TOGETHER = "all lesions of a study"
FEWEST_VOXELS = 10  # smaller lesions are reported apart: one voxel more or less decides their Dice


@dataclass(frozen=True)
class TargetResult:
    """One target of one study.

    Args:
        image: the study's path.
        label: the target's label name.
        lesion: whether it is one component of a lesion label.
        volume_ml: of the target.
        dice: after 1, 2, … clicks of the network.
        threshold_dice: after as many clicks of the 41 % region, each on its own errors.
        best_threshold: Dice of the best single threshold; None where it was not asked for.
        voxels: of the target; None where nobody counted.
        situations: of a lesion, see `situations`.
        nsd: normalised surface Dice at 2 mm after 1, 2, … clicks.
        answer_ml: volume of the answer after 1, 2, … clicks.
        detection: of a study's lesions together, `lesion_f1` after 1, 2, … clicks.
    """

    image: str
    label: str
    lesion: bool
    volume_ml: float
    dice: list[float]
    threshold_dice: list[float] | None = None
    best_threshold: float | None = None
    voxels: int | None = None
    situations: tuple[str, ...] = ()
    nsd: list[float] | None = None
    answer_ml: list[float] | None = None
    detection: list[float] | None = None

    @property
    def group(self) -> str:
        """Which row of the report it counts in: organs, lesions by volume, or a study's lesions together."""
        if self.detection is not None:
            return TOGETHER
        if not self.lesion:
            return "organs"
        if self.voxels is not None and self.voxels < FEWEST_VOXELS:
            return f"lesions < {FEWEST_VOXELS} voxels"
        return f"lesions {band(self.volume_ml)}"

    @property
    def groups(self) -> tuple[str, ...]:
        """All rows it counts in: its own, and those of its situations."""
        small = self.voxels is not None and self.voxels < FEWEST_VOXELS
        return (self.group, *(() if small else (f"lesions {situation}" for situation in self.situations)))


def band(volume_ml: float) -> str:
    """The band of volumes that a lesion falls into, as the report writes it."""
    edges = [0.0, *BANDS_ML]
    low = max(edge for edge in edges if volume_ml >= edge)
    high = next((edge for edge in BANDS_ML if volume_ml < edge), None)
    return f"≥ {low:g} mL" if high is None else f"< {high:g} mL" if low == 0 else f"{low:g}–{high:g} mL"


def evaluate_study(
    segmenter: ClickSegmenter,
    entry: Entry,
    *,
    clicks: int = 5,
    baselines: bool = True,
    leave_out: Collection[str] = (),
    max_organs: int | None = None,
    reader: str = "click",
    together: bool = False,
) -> list[TargetResult]:
    """The click protocol on every target of one study.

    Args:
        segmenter: what is evaluated.
        entry: of a data list.
        clicks: per target.
        baselines: whether to run the 41 % region and the best threshold, on lesions.
        leave_out: label names that are no targets.
        max_organs: at most so many organs of the study, in the order of their values.
        reader: what is drawn, see `next_prompt`.
        together: take all lesions of the study as one target, and measure how many of them were found, too.

    Raises:
        ValueError: a label map that cannot be used.
    """
    volume = read_pet(entry.image)
    labels = read_label_map(entry.label, volume).voxels
    left_out = names_of(leave_out)
    names = {value: name for value, name in entry.label_names.items() if name not in left_out}
    lesions = np.isin(labels, [value for value, name in entry.label_names.items() if is_lesion(name)])
    evaluate = partial(_evaluate, segmenter, volume, str(entry.image), clicks=clicks, reader=reader)
    if together:
        all_lesions = np.isin(labels, [value for value, name in names.items() if is_lesion(name)])
        if not all_lesions.any():
            return []
        return [evaluate(_Asked(TOGETHER, True, all_lesions), baselines=False, together=True)]
    results, organs = [], 0
    for part in parts_of(labels, names):
        organs += not part.lesion
        if not part.lesion and max_organs is not None and organs > max_organs:
            continue
        target = part.whole(labels.shape)
        where = situations(volume, target, lesions) if part.lesion else ()
        asked = _Asked(part.name, part.lesion, target, where)
        results.append(evaluate(asked, baselines=baselines and part.lesion))
    return results


@dataclass(frozen=True, eq=False)
class _Asked:
    """A target as the report names it, with its mask [i, j, k]."""

    name: str
    lesion: bool
    mask: np.ndarray
    situations: tuple[str, ...] = ()


def _evaluate(
    segmenter: ClickSegmenter,
    volume: PetVolume,
    image: str,
    asked: _Asked,
    *,
    clicks: int,
    reader: str,
    baselines: bool,
    together: bool = False,
) -> TargetResult:
    spacing, target = volume.spacing_mm, asked.mask
    threshold = (
        click_curve(lambda made: threshold_region(volume, cast(Sequence[Click], made)), target, spacing, clicks)
        if baselines
        else None
    )
    nsd: list[float] = []
    answer_ml: list[float] = []
    detection: list[float] = []

    def segment(made: Sequence[Prompt]) -> np.ndarray:
        mask = segmenter.segment(volume, made)
        nsd.append(surface_dice(mask, target, spacing))
        answer_ml.append(float(mask.sum()) * volume.voxel_volume_ml)
        if together:
            detection.append(lesion_f1(mask, target))
        return mask

    curve = click_curve(segment, target, spacing, clicks, reader)
    missing = clicks - len(nsd)  # nothing was wrong any more
    return TargetResult(
        image=image,
        label=asked.name,
        lesion=asked.lesion,
        volume_ml=float(target.sum() * volume.voxel_volume_ml),
        dice=curve,
        threshold_dice=threshold,
        best_threshold=best_threshold_dice(volume, target) if baselines else None,
        voxels=int(target.sum()),
        situations=asked.situations,
        nsd=nsd + nsd[-1:] * missing,
        answer_ml=answer_ml + answer_ml[-1:] * missing,
        detection=detection + detection[-1:] * missing if together else None,
    )


def summarise(results: Iterable[TargetResult], at: Collection[int] = (1, 3, 5)) -> str:
    """A Markdown table: each group's Dice after some clicks (mean ± standard deviation), NSD, and the baselines' means.

    Args:
        results: of `evaluate_study`.
        at: click counts.
    """
    groups: dict[str, list[TargetResult]] = {}
    for result in results:
        for group in result.groups:
            groups.setdefault(group, []).append(result)
    last = max(at)
    head = [
        "targets",
        "n",
        *(f"Dice@{k}" for k in at),
        *(f"NSD@{k}" for k in sorted({1, last})),
        "volume@1",
        *(f"41 % @{k}" for k in at),
        "best threshold",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for group, members in sorted(groups.items(), key=lambda item: _row_order(item[0])):
        curves = np.array([member.dice for member in members])
        cells = [f"{curves[:, k - 1].mean():.2f} ± {curves[:, k - 1].std():.2f}" for k in at]
        cells += [_mean([m.nsd[k - 1] for m in members if m.nsd]) for k in sorted({1, last})]
        ratios = [m.answer_ml[0] / m.volume_ml for m in members if m.answer_ml]
        cells.append(f"{np.median(ratios):.2f}" if ratios else "–")
        cells += [_mean([m.threshold_dice[k - 1] for m in members if m.threshold_dice]) for k in at]
        cells.append(_mean([m.best_threshold for m in members if m.best_threshold is not None]))
        lines.append(f"| {group} | {len(members)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f}" if values else "–"


def _row_order(group: str) -> tuple[int, str]:
    """Lesions by growing volume, then by situation, then organs."""
    order = [
        f"lesions < {FEWEST_VOXELS} voxels",
        *(f"lesions {band(edge)}" for edge in (0.0, *BANDS_ML)),
    ]
    if group in order:
        return order.index(group), group
    return len(order) + (group == "organs"), group


def stability(results: Iterable[TargetResult]) -> str:
    """What further clicks do to Dice, in a line: the mean's worst step, and how many targets end below their best."""
    curves = np.array([result.dice for result in results])
    if len(curves) == 0 or curves.shape[1] < 2:
        return "stability: needs two clicks or more"
    step = float(np.diff(curves.mean(0)).min())
    below = float((curves.max(1) - curves[:, -1] > 0.05).mean())
    return (
        f"from 1 to {curves.shape[1]} clicks the mean Dice's worst step is {step:+.4f};"
        f" {below:.1%} of {len(curves)} targets end more than 0.05 below their best"
    )


def areas(results: Iterable[TargetResult]) -> str:
    """Area under the curve of Dice over the prompts, by the trapezoid rule, of lesions and of organs.

    The curve begins before the first prompt, at 0. The area is divided by the number of prompts: 1 would be a perfect
    answer that needs none. Of a study's lesions together there is the area under their detection, too, as in autoPET V,
    whose AUC-Dice and AUC-DMM are sums over five prompts: five times as large.
    """
    groups: dict[str, list[float]] = {"lesions": [], "organs": []}
    detection: list[float] = []
    for result in results:
        groups["lesions" if result.lesion else "organs"].append(_area(result.dice))
        if result.detection is not None:
            detection.append(_area(result.detection))
    means = ", ".join(f"{name} {_mean(values)}" for name, values in groups.items())
    found = f"; under lesions' detection {_mean(detection)}" if detection else ""
    return f"area under Dice over the prompts: {means}{found}"


def _area(curve: Sequence[float]) -> float:
    return float(trapezoid([0.0, *curve]) / len(curve))


def as_rows(results: Iterable[TargetResult]) -> list[dict[str, Any]]:
    """The results, ready for JSON."""
    return [{**asdict(result), "group": result.group} for result in results]
