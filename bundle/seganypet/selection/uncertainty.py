"""How unsure a segmenter is of a study: how far its answers to nearby clicks differ."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter
from seganypet.pet import PetVolume
from seganypet.selection.peaks import Peak, uptake_peaks

APART_MM = 4.0  # of a click from the peak: about as far as two readers' clicks on a small lesion


@dataclass(frozen=True)
class AskedPeak:
    """A peak and what clicks around it gave.

    Args:
        ijk: its voxel in the volume.
        uptake: there.
        disagreement: of the clicks' masks, 0 to 1.
    """

    ijk: tuple[float, float, float]
    uptake: float
    disagreement: float


@dataclass(frozen=True)
class StudyUncertainty:
    """How unsure a segmenter is of a study.

    Args:
        score: mean disagreement over the peaks that were asked; 0 where there are none.
        peaks: those.
        seconds: it took.
        complete: whether the time sufficed for all peaks.
    """

    score: float
    peaks: tuple[AskedPeak, ...]
    seconds: float
    complete: bool


def disagreement(masks: Sequence[NDArray[np.bool_]]) -> float:
    """1 − the mean Dice of all pairs of masks; in [0, 1].

    An empty mask agrees with none, an empty one neither: each of these answers a click on uptake, and nothing is no
    answer.

    Args:
        masks: bool arrays of one shape, two or more.

    Raises:
        ValueError: fewer than two.
    """
    if len(masks) < 2:
        raise ValueError(f"disagreement needs two masks or more, got {len(masks)}")
    flat = np.stack([np.asarray(mask, bool).ravel() for mask in masks])
    flat = flat[:, flat.any(0)].astype(np.float32)
    shared, sizes = flat @ flat.T, flat.sum(1)
    first, second = np.triu_indices(len(masks), 1)
    total = sizes[first] + sizes[second]
    dice = np.where(total > 0, 2 * shared[first, second] / np.maximum(total, 1), 0.0)
    return float(1 - dice.mean())


def nearby_clicks(
    ijk: tuple[float, float, float],
    spacing_mm: tuple[float, float, float],
    shape: tuple[int, int, int],
    *,
    apart_mm: float = APART_MM,
) -> list[Click]:
    """A click on a voxel, and one on either side of it along each axis, kept inside the volume."""
    clicks = [Click(ijk)]
    for axis in range(3):
        for side in (-1, 1):
            moved = list(ijk)
            moved[axis] = min(max(moved[axis] + side * apart_mm / spacing_mm[axis], 0.0), shape[axis] - 1.0)
            clicks.append(Click((moved[0], moved[1], moved[2])))
    return clicks


def study_uncertainty(
    segmenter: ClickSegmenter, volume: PetVolume, *, count: int = 6, budget_s: float | None = None
) -> StudyUncertainty:
    """Ask a segmenter about the most prominent peaks of a study, each by some clicks that mean the same.

    Masks are what is compared: they are what a reader would get. Where the paper's CPCL takes the entropy of the mean
    probability over prompts, this is its counterpart for answers that are either in or out.

    Args:
        segmenter: of the weights in force.
        volume: the study.
        count: peaks to ask about.
        budget_s: no peak is begun after this many seconds; the first always is.
    """
    start = time.perf_counter()
    asked: list[AskedPeak] = []
    peaks = working_peaks(segmenter, volume, count=count)
    for peak, ijk in peaks:
        if asked and budget_s is not None and time.perf_counter() - start > budget_s:
            break
        masks = [segmenter.segment(volume, [click]) for click in nearby_clicks(ijk, volume.spacing_mm, volume.shape)]
        asked.append(AskedPeak(ijk, peak.uptake, disagreement(masks)))
    score = float(np.mean([peak.disagreement for peak in asked])) if asked else 0.0
    return StudyUncertainty(score, tuple(asked), time.perf_counter() - start, len(asked) == len(peaks))


def working_peaks(
    segmenter: ClickSegmenter, volume: PetVolume, *, count: int
) -> list[tuple[Peak, tuple[float, float, float]]]:
    """The peaks of a volume's working image, each with its place in the volume (i, j, k)."""
    image = segmenter.encoder.image(volume)
    spacing = image.grid.spacing_mm
    back = np.linalg.inv(image.grid.matrix)
    found = []
    for peak in uptake_peaks(image.voxels.numpy(), (spacing, spacing, spacing), count=count):
        places = (back @ [*peak.index, 1.0])[:3]
        i, j, k = (min(max(float(p), 0.0), n - 1.0) for p, n in zip(places, volume.shape, strict=True))
        found.append((peak, (i, j, k)))
    return found
