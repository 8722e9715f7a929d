"""Simulated annotators: labels of low quality made from the true ones, for cohorts whose truth is known.

A machine or a novice errs in four ways: contours stand beside the border or leak over it into what is as bright,
small lesions are missed, physiological uptake is called a lesion, and parts of an organ go to its neighbour. A machine
alone errs in larger pieces, too: whole organs are unlabelled, or get another one's name.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from seganypet.data.data_list import Entry, read_data_list, write_data_list
from seganypet.data.targets import is_lesion

logger = logging.getLogger(__name__)

REACH_MM = 8.0  # how far around its true border a contour can stand
ROUGHNESS_MM = 15.0  # correlation length of a contour's deviation along the border
LEAK_SHARE = 0.6  # of a target's median uptake, above which its surroundings are taken for it


@dataclass(frozen=True)
class Annotator:
    """How badly labels are drawn.

    Args:
        strength: 0, the truth, to 2, where labels are worse than most networks; scales everything below.
        border_mm: standard deviation of a contour's distance from the true border, correlated over 15 mm.
        shift_mm: standard deviation, along each axis, of a target's shift as a whole.
        leak: probability that a target leaks into bright surroundings, up to 8 mm.
        missed: probability that a lesion under 10 mL is missed.
        invented: expected number of bright spots outside all labels that become lesions.
        confused: probability that an organ loses a part next to a neighbour to it.

    Raises:
        ValueError: a strength outside 0 to 2.
    """

    strength: float = 1.0
    border_mm: float = 3.0
    shift_mm: float = 2.5
    leak: float = 0.4
    missed: float = 0.4
    invented: float = 1.5
    confused: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 2:
            raise ValueError(f"strength must lie in 0 to 2, got {self.strength}")

    def draw(
        self,
        labels: NDArray[np.integer],
        suv: NDArray[np.floating],
        label_names: dict[int, str],
        spacing_mm: Sequence[float],
        rng: np.random.Generator,
    ) -> NDArray[np.int16]:
        """The label map that this annotator would leave.

        Args:
            labels: the true label map [i, j, k].
            suv: uptake [i, j, k].
            label_names: of its targets; other values are kept out of the result.
            spacing_mm: of the voxels.
            rng: for everything random.

        Returns:
            [i, j, k] int16 of the same values; an invented lesion has the first lesion's value.
        """
        spacing = np.asarray(spacing_mm, float)
        voxel_ml = float(np.prod(spacing)) / 1000
        result = np.zeros(labels.shape, np.int16)
        lesions = [value for value, name in label_names.items() if is_lesion(name)]
        organs = [value for value in label_names if value not in lesions]
        for value in [*organs, *lesions]:  # lesions over organs, as in the truth
            box = _box_around(labels == value, spacing)
            if box is None:
                continue
            truth = labels[box] == value
            small = value in lesions and truth.sum() * voxel_ml < 10.0
            if small and rng.random() < self.missed * self.strength:
                continue
            result[box][self._contour(truth, suv[box], spacing, rng)] = value
        for value in organs:
            if rng.random() < self.confused * self.strength:
                _give_to_neighbour(result, value, spacing, rng)
        if lesions:
            for _ in range(rng.poisson(self.invented * self.strength)):
                _invent(result, labels, suv, lesions[0], spacing, rng)
        return result

    def _contour(
        self,
        truth: NDArray[np.bool_],
        suv: NDArray[np.floating],
        spacing: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:
        """A target drawn too large here and too small there, in the box around it."""
        if self.strength == 0:
            return truth
        inside = ndimage.distance_transform_edt(truth, sampling=spacing)
        outside = ndimage.distance_transform_edt(~truth, sampling=spacing)
        depth = np.where(truth, inside, -outside)  # mm, about half a voxel either side of the border
        noise = ndimage.gaussian_filter(rng.standard_normal(truth.shape), ROUGHNESS_MM / 2 / spacing)
        noise *= self.border_mm * self.strength / max(float(noise.std()), 1e-6)
        shift = rng.normal(0, self.shift_mm * self.strength, 3) / spacing
        drawn = ndimage.shift(depth, shift, order=1, mode="nearest") + np.clip(noise, -REACH_MM, REACH_MM) > 0
        if rng.random() < self.leak * self.strength:
            bright = suv > LEAK_SHARE * np.median(suv[truth])
            drawn |= ndimage.binary_propagation(drawn & bright, mask=bright & (depth > -REACH_MM))
        return drawn


@dataclass(frozen=True)
class OrganMistakes:
    """How often whole targets are unlabelled or mislabelled; the contours of the others are true.

    Args:
        strength: 0, the truth, to 2; scales what is below.
        unlabelled: probability that a target is left out.
        mislabelled: probability that an organ gets the value of another one, which then has two places.

    Raises:
        ValueError: a strength outside 0 to 2.
    """

    strength: float = 1.0
    unlabelled: float = 0.2
    mislabelled: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 2:
            raise ValueError(f"strength must lie in 0 to 2, got {self.strength}")

    def draw(
        self,
        labels: NDArray[np.integer],
        suv: NDArray[np.floating],
        label_names: dict[int, str],
        spacing_mm: Sequence[float],
        rng: np.random.Generator,
    ) -> NDArray[np.int16]:
        """The label map [i, j, k] that is left of the true one; arguments as `Annotator.draw` has them."""
        result = np.zeros(labels.shape, np.int16)
        there = [value for value in label_names if (labels == value).any()]
        organs = [value for value in there if not is_lesion(label_names[value])]
        for value in there:
            lot = rng.random()
            if lot < self.unlabelled * self.strength:
                continue
            others = [other for other in organs if other != value]
            wrong = value in organs and others and lot < (self.unlabelled + self.mislabelled) * self.strength
            result[labels == value] = rng.choice(others) if wrong else value
        return result


ANNOTATORS: dict[str, type[Annotator] | type[OrganMistakes]] = {"contours": Annotator, "organs": OrganMistakes}


def write_low_quality(
    data_list: str | Path,
    folder: str | Path,
    *,
    share: float = 0.5,
    strength: float = 1.0,
    kind: str = "contours",
    seed: int = 0,
) -> Path:
    """A copy of a data list in which a share of the training labels was redrawn by a simulated annotator.

    The redrawn label maps lie in `folder`, one a study, named as its number in the section; entries keep their images.

    Args:
        data_list: of a cohort whose labels are true.
        folder: for the label maps and data_list.json.
        share: of the training entries that become low quality, the last ones; below 1 the first stays what it is.
        strength: of the annotator, see `Annotator`.
        kind: of `ANNOTATORS`: "contours" or "organs".
        seed: study n is drawn from (seed, n).

    Raises:
        ValueError: a share outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in 0 to 1, got {share}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    cohort = read_data_list(data_list)
    annotator = ANNOTATORS[kind](strength)
    first_low = max(round(len(cohort.training) * (1 - share)), int(share < 1))
    training = list(cohort.training[:first_low])
    for number, entry in enumerate(cohort.training[first_low:], start=first_low):
        label: Any = nib.load(entry.label)
        image: Any = nib.load(entry.image)
        drawn = annotator.draw(
            np.asarray(label.dataobj).astype(np.int16),
            image.get_fdata(dtype=np.float32),
            entry.label_names,
            label.header.get_zooms()[:3],
            np.random.default_rng([seed, number]),
        )
        names = {value: name for value, name in entry.label_names.items() if (drawn == value).any()}
        if not names:
            logger.warning("%s is left out: the annotator missed all that is labelled there", entry.image)
            continue
        path = folder / f"labels_{number:04d}.nii.gz"
        nib.save(nib.Nifti1Image(drawn, label.affine), path)
        training.append(Entry(entry.image, path, names, "low"))
    sections = {"training": training, "validation": cohort.validation, "test": cohort.test}
    return write_data_list(folder / "data_list.json", sections)


def _box_around(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> tuple[slice, ...] | None:
    """The mask's box with room for everything an annotator does to it; None where the mask is empty."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return None
    margins = np.ceil(2 * REACH_MM / spacing).astype(int)
    return tuple(
        slice(max(0, side.start - margin), min(length, side.stop + margin))
        for side, margin, length in zip(found[0], margins, mask.shape, strict=True)
    )


def _give_to_neighbour(
    result: NDArray[np.int16], value: int, spacing: NDArray[np.float64], rng: np.random.Generator
) -> None:
    """A part of an organ, within 15 mm of where it touches another label, becomes that label; in place."""
    box = _box_around(result == value, spacing)
    if box is None:
        return
    here = result[box]
    organ = here == value
    rim = ndimage.binary_dilation(organ, iterations=2) & ~organ
    neighbours = np.unique(here[rim])
    neighbours = neighbours[neighbours > 0]
    if len(neighbours) == 0:
        return
    other = int(rng.choice(neighbours))
    places = np.argwhere(rim & (here == other))
    place = places[rng.integers(len(places))]
    grid = np.indices(here.shape).reshape(3, -1).T
    near = (np.linalg.norm((grid - place) * spacing, axis=1) < ROUGHNESS_MM).reshape(here.shape)
    here[organ & near] = other


def _invent(
    result: NDArray[np.int16],
    labels: NDArray[np.integer],
    suv: NDArray[np.floating],
    value: int,
    spacing: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """A ball of 5 to 12 mm around one of the brightest voxels outside all labels becomes a lesion; in place."""
    free = np.flatnonzero((result == 0) & (labels == 0) & (suv > 1.0))
    if len(free) == 0:
        return
    tested = free[rng.integers(len(free), size=min(50, len(free)))]
    place = np.unravel_index(int(tested[np.argmax(suv.ravel()[tested])]), result.shape)
    radius = rng.uniform(5, 12)
    reach = np.ceil(radius / spacing).astype(int)
    box = tuple(
        slice(max(0, int(p) - int(r)), min(n, int(p) + int(r) + 1))
        for p, r, n in zip(place, reach, result.shape, strict=True)
    )
    origin = np.array([side.start for side in box])
    grid = np.indices(result[box].shape).reshape(3, -1).T + origin
    ball = (np.linalg.norm((grid - np.array(place)) * spacing, axis=1) <= radius).reshape(result[box].shape)
    result[box][ball & (result[box] == 0)] = value
