"""Dice per click over a data list, beside what a threshold would have given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from seganypet.data.data_list import Entry
from seganypet.data.targets import is_lesion
from seganypet.evaluation.protocol import click_curve
from seganypet.evaluation.threshold_region import best_threshold_dice, threshold_region
from seganypet.inference import ClickSegmenter
from seganypet.pet import PetVolume, read_pet

SMALL_ML = 10.0
SMALLEST_ML = 0.1


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
    """

    image: str
    label: str
    lesion: bool
    volume_ml: float
    dice: list[float]
    threshold_dice: list[float] | None
    best_threshold: float | None

    @property
    def group(self) -> str:
        if not self.lesion:
            return "organs"
        return f"lesions < {SMALL_ML:g} mL" if self.volume_ml < SMALL_ML else f"lesions ≥ {SMALL_ML:g} mL"


def evaluate_entries(
    segmenter: ClickSegmenter,
    entries: Iterable[Entry],
    *,
    clicks: int = 5,
    baselines: bool = True,
    leave_out: Collection[str] = (),
    max_organs: int | None = None,
) -> Iterator[list[TargetResult]]:
    """The click protocol on every target of every study, one study's results at a time.

    Args:
        segmenter: what is evaluated.
        entries: of a data list.
        clicks: per target.
        baselines: whether to run the 41 % region and the best threshold, on lesions.
        leave_out: label names that are no targets.
        max_organs: at most so many organs of a study, in the order of their values.

    Raises:
        ValueError: a label map of another shape than its image.
    """
    for entry in entries:
        volume = read_pet(entry.image)
        label_image: Any = nib.load(entry.label)
        labels = np.asarray(label_image.dataobj)
        if labels.shape != volume.shape:
            raise ValueError(f"label {entry.label} has shape {labels.shape}, its image {entry.image} {volume.shape}")
        names = {value: name for value, name in entry.label_names.items() if name not in leave_out}
        results, organs = [], 0
        for name, lesion, target in _targets(labels, names, volume):
            organs += not lesion
            if not lesion and max_organs is not None and organs > max_organs:
                continue
            results.append(_evaluate(segmenter, entry, volume, name, lesion, target, clicks, baselines))
        yield results


def _evaluate(
    segmenter: ClickSegmenter,
    entry: Entry,
    volume: PetVolume,
    name: str,
    lesion: bool,
    target: np.ndarray,
    clicks: int,
    baselines: bool,
) -> TargetResult:
    spacing = volume.spacing_mm
    with_threshold = baselines and lesion
    threshold = (
        click_curve(lambda made: threshold_region(volume, made), target, spacing, clicks) if with_threshold else None
    )
    return TargetResult(
        image=str(entry.image),
        label=name,
        lesion=lesion,
        volume_ml=float(target.sum() * volume.voxel_volume_ml),
        dice=click_curve(lambda made: segmenter.segment(volume, made), target, spacing, clicks),
        threshold_dice=threshold,
        best_threshold=best_threshold_dice(volume, target) if with_threshold else None,
    )


def _targets(labels: np.ndarray, names: dict[int, str], volume: PetVolume) -> Iterator[tuple[str, bool, np.ndarray]]:
    for value, name in sorted(names.items()):
        mask = labels == value
        if not mask.any():
            continue
        if not is_lesion(name):
            yield name, False, mask
            continue
        parts, count = ndimage.label(mask)
        for part in range(1, count + 1):
            target = parts == part
            if target.sum() * volume.voxel_volume_ml >= SMALLEST_ML:
                yield name, True, target


def summarise(results: Iterable[TargetResult], at: Collection[int] = (1, 3, 5)) -> str:
    """A Markdown table: each group's mean ± standard deviation of Dice after some clicks, and the baselines' means.

    Args:
        results: of `evaluate_entries`.
        at: click counts.
    """
    everything = list(results)
    groups: dict[str, list[TargetResult]] = {}
    for result in everything:
        groups.setdefault(result.group, []).append(result)
    head = ["targets", "n", *(f"Dice@{k}" for k in at), *(f"41 % @{k}" for k in at), "best threshold"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for group, members in sorted(groups.items()):
        curves = np.array([member.dice for member in members])
        cells = [f"{curves[:, k - 1].mean():.2f} ± {curves[:, k - 1].std():.2f}" for k in at]
        thresholds = np.array([member.threshold_dice for member in members if member.threshold_dice is not None])
        cells += [f"{thresholds[:, k - 1].mean():.2f}" if len(thresholds) else "–" for k in at]
        best = [member.best_threshold for member in members if member.best_threshold is not None]
        lines.append(
            f"| {group} | {len(members)} | " + " | ".join([*cells, f"{np.mean(best):.2f}" if best else "–"]) + " |"
        )
    return "\n".join(lines)


def as_rows(results: Iterable[TargetResult]) -> list[dict[str, Any]]:
    """The results, ready for JSON."""
    return [{**asdict(result), "group": result.group} for result in results]
