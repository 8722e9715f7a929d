"""Whether a dose, a weight and the SUV that comes out can be: what is off by a unit is off by a thousand.

A number in another unit than DICOM's is taken for what it must have been where one unit alone makes sense of it, and a
note says so; where several or none do, SUV is refused.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seganypet.pet.errors import SuvUnavailableError
from seganypet.pet.headers import SeriesHeaders, named

SMALLEST_DOSE_BQ = 1e6  # below one megabecquerel no person is seen: the number is in another unit, or a mouse's
LARGEST_WEIGHT_KG = 1000.0
PERSON_KG = 0.6  # below that an animal
DOSE_MBQ_PER_KG = (0.02, 200.0)
"""Of persons: from a late scan of Zr-89 on a total-body scanner to a liver's radioembolisation by Y-90."""
LARGEST_DOSE_MBQ_PER_KG = 2000.0  # of a mouse
UNIT_MBQ_PER_KG = (0.2, 60.0)
"""What another unit must make of a number to be believed; narrower, since units lie 27 to 1000 times apart."""
BQ_PER_UNIT = {"Bq": 1.0, "kBq": 1e3, "MBq": 1e6, "mCi": 37e6, "GBq": 1e9}
BODY_SHARE_OF_BRIGHT = 0.02  # a voxel counts as body above this share of the volume's 99.5th percentile
ODD_MEAN_SUV, IMPOSSIBLE_MEAN_SUV = (0.2, 8.0), (0.02, 50.0)
"""SUV averages 1 over a whole body, by its definition; a pelvis with its bladder reaches some 5, legs 0.3."""


def weight_kg(series: SeriesHeaders, notes: list[str]) -> float:
    """PatientWeight in kg; above 1000 it was written in grams.

    Raises:
        SuvUnavailableError: missing or not above zero.
    """
    weight = series.number("PatientWeight")
    if weight > LARGEST_WEIGHT_KG:
        notes.append(f"{named('PatientWeight')} {weight:g} was taken as grams")
        weight /= 1000
    return weight


def dose_bq(series: SeriesHeaders, weight: float, notes: list[str]) -> float:
    """RadionuclideTotalDose in Bq, by the unit that makes sense for the weight.

    Args:
        weight: of the patient, kg.
        notes: gets which unit was assumed.

    Raises:
        SuvUnavailableError: missing, or no or several units make sense.
    """
    keyword = "RadionuclideTotalDose"
    written = series.number(keyword)
    dose = written
    if written < SMALLEST_DOSE_BQ:
        low, high = UNIT_MBQ_PER_KG
        units = [unit for unit, bq in BQ_PER_UNIT.items() if low <= written * bq / 1e6 / weight <= high]
        if len(units) != 1:
            what = f"could be {' or '.join(units)}" if units else "is no dose in Bq, kBq, MBq, mCi or GBq"
            raise SuvUnavailableError(
                f"{named(keyword)} {written:g} is below 1 MBq, and {what} for {named('PatientWeight')} {weight:g} kg"
            )
        notes.append(f"{named(keyword)} {written:g} is below 1 MBq and was taken as {units[0]}")
        dose = written * BQ_PER_UNIT[units[0]]
    low, high = DOSE_MBQ_PER_KG if weight >= PERSON_KG else (0.0, LARGEST_DOSE_MBQ_PER_KG)
    if not low <= dose / 1e6 / weight <= high:
        raise SuvUnavailableError(
            f"{named(keyword)} {written:g} and {named('PatientWeight')} {weight:g} kg do not fit: "
            f"{dose / 1e6 / weight:.3g} MBq/kg, {low:g} to {high:g} are possible"
        )
    return dose


def body_floor(voxels: NDArray[np.floating]) -> float:
    """Uptake above which a voxel counts as body: a small share of the volume's bright voxels, 0 where none are."""
    return max(0.0, BODY_SHARE_OF_BRIGHT * float(np.quantile(_sample(voxels), 0.995)))


def body_mean(voxels: NDArray[np.floating]) -> float | None:
    """The mean over what is brighter than air, None where nothing is."""
    sample = _sample(voxels)
    body = sample[sample > body_floor(sample)]
    return float(body.mean()) if body.size else None


def _sample(voxels: NDArray[np.floating]) -> NDArray[np.floating]:
    """A million voxels, spread evenly: enough for a mean and a quantile."""
    flat = voxels.reshape(-1, order="A")
    return flat[:: max(1, flat.size // 1_000_000)]


def check_mean_suv(voxels: NDArray[np.floating], notes: list[str]) -> None:
    """Hold the body's mean SUV against what it is by definition, about 1.

    Raises:
        SuvUnavailableError: it is off by a factor that no part of a body explains, or all uptake is negative.
    """
    mean = body_mean(voxels)
    if mean is None and voxels.min(initial=0.0) < 0:
        raise SuvUnavailableError("no voxel is above zero and some are below: these are no SUV")
    if mean is None or ODD_MEAN_SUV[0] <= mean <= ODD_MEAN_SUV[1]:
        return
    said = f"the mean SUV of what is in the scan would be {mean:.3g}; over a whole body it is about 1"
    if not IMPOSSIBLE_MEAN_SUV[0] <= mean <= IMPOSSIBLE_MEAN_SUV[1]:
        raise SuvUnavailableError(f"{said}: dose, weight or units cannot be right")
    notes.append(f"{said}: are dose, weight and units right?")
