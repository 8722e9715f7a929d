"""From a PET series' headers to the factors that turn its values into body-weight SUV.

Units (0054,1001) decides: GML and CM2ML are SUV already, by one body size or another; CNTS needs the vendor's factor;
BQML is divided by the dose that was left and multiplied by the weight. Only the fields that the chosen rule uses are
read, and a missing one is named. The fields are those of DICOM PS3.3 C.8.9; the rules are checked on reference objects.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from seganypet.pet.body_mass import (
    SEXES,
    body_surface_cm2,
    ideal_body_weight_kg,
    lean_body_mass_james_kg,
    lean_body_mass_janmahasatian_kg,
)
from seganypet.pet.decay import dose_left
from seganypet.pet.errors import SuvUnavailableError
from seganypet.pet.headers import Header, SeriesHeaders, named, values_of
from seganypet.pet.plausibility import dose_bq, weight_kg

logger = logging.getLogger(__name__)

LARGEST_HEIGHT_M = 3.0
METHOD = "AttenuationCorrectionMethod"


@dataclass(frozen=True, eq=False)
class SuvFactors(Sequence[float]):
    """Per-slice factors in the order of the headers: SUVbw = (stored value · RescaleSlope + RescaleIntercept) · factor.

    Behaves as a sequence of floats: `len`, indexing, iteration, `np.asarray`.

    Args:
        factors: [slices].
        rule: the rule that was applied, in words.
        tags: the fields that were used, "Keyword (gggg,eeee)" → value as written.
        notes: what was assumed, for example a dose in MBq.
    """

    factors: NDArray[np.float64]
    rule: str
    tags: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.factors)

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...
    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        return self.factors[index].tolist()

    def __iter__(self) -> Iterator[float]:
        return iter(self.factors.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.factors, dtype=dtype) if copy or dtype is not None else self.factors


def suv_factors(headers: Sequence[Header]) -> SuvFactors:
    """SUVbw factors from the headers of one series alone; no pixels are needed.

    Args:
        headers: one per slice, pydicom Datasets or mappings keyed by DICOM keyword, in any order.

    Returns:
        Factors in that order, with the rule and the fields behind them.

    Raises:
        SuvUnavailableError: a field that the rule needs is missing or implausible; the message names it.
        ValueError: no headers.
    """
    series = SeriesHeaders(headers)
    notes: list[str] = []
    _check_attenuation_corrected(series, notes)
    units = series.text("Units").upper()
    if units == "GML":
        factor, rule = _from_gml(series, notes)
        factors = np.full(len(series), factor)
    elif units == "CM2ML":
        factor, rule = _from_body_surface(series, notes)
        factors = np.full(len(series), factor)
    elif units == "CNTS":
        factors, rule = _from_counts(series, notes)
    elif units == "BQML":
        factors, rule = _from_activity(series, notes)
    else:
        raise SuvUnavailableError(f"{named('Units')} is {units}, not BQML, GML, CM2ML or CNTS")
    for note in notes:
        logger.warning("SUV: %s", note)
    return SuvFactors(factors, rule, dict(series.used), tuple(notes))


def _check_attenuation_corrected(series: SeriesHeaders, notes: list[str]) -> None:
    """Raises where a slice says that it is not attenuation-corrected; notes where it does not say."""
    if not series.has("CorrectedImage"):
        method = series.text(METHOD).upper() if series.has(METHOD) else ""
        if method in ("NONE", "NOTHING"):
            raise SuvUnavailableError(f"{named(METHOD)} is {method} and {named('CorrectedImage')} is missing")
        notes.append(f"{named('CorrectedImage')} is missing: that the image is attenuation-corrected was assumed")
        return
    for text in sorted(set(series.texts("CorrectedImage"))):
        if "ATTN" not in values_of(text):
            raise SuvUnavailableError(f"{named('CorrectedImage')} is {text}, without ATTN")
        correction = series.text("DecayCorrection").upper() if series.has("DecayCorrection") else ""
        if correction in ("START", "ADMIN", "NONE") and ("DECY" in values_of(text)) == (correction == "NONE"):
            notes.append(
                f"{named('CorrectedImage')} is {text} and {named('DecayCorrection')} {correction}: the latter was taken"
            )


def _from_gml(series: SeriesHeaders, notes: list[str]) -> tuple[float, str]:
    suv_type = series.text("SUVType").upper() if series.has("SUVType") else "BW"
    if suv_type == "BW":
        return 1.0, "GML: stored as SUVbw"
    sizes = {
        "LBMJAMES128": lean_body_mass_james_kg,
        "LBMJANMA": lean_body_mass_janmahasatian_kg,
        "IBW": ideal_body_weight_kg,
    }
    if suv_type not in sizes:
        raise SuvUnavailableError(f"{named('SUVType')} is {suv_type}, not BW, {', '.join(sizes)}")
    weight, height_m = weight_kg(series, notes), _height_m(series, notes)
    sex = series.text("PatientSex").upper()
    if sex not in SEXES:
        raise SuvUnavailableError(f"{named('PatientSex')} is {sex}, not M, F or O")
    size_kg = sizes[suv_type](weight, 100 * height_m, sex)
    if size_kg <= 0:
        raise SuvUnavailableError(
            f"{suv_type} gives {size_kg:.1f} kg for {named('PatientWeight')} {weight:g} kg and "
            f"{named('PatientSize')} {height_m:g} m"
        )
    return weight / size_kg, f"GML, {suv_type}: back to body weight, {weight:g} kg / {size_kg:.4g} kg"


def _from_body_surface(series: SeriesHeaders, notes: list[str]) -> tuple[float, str]:
    if series.has("SUVType") and series.text("SUVType").upper() != "BSA":
        raise SuvUnavailableError(f"{named('Units')} CM2ML and {named('SUVType')} {series.text('SUVType')} contradict")
    weight, height_m = weight_kg(series, notes), _height_m(series, notes)
    surface_cm2 = body_surface_cm2(weight, 100 * height_m)
    return 1000 * weight / surface_cm2, f"CM2ML: body surface {surface_cm2:.0f} cm² back to weight {weight:g} kg"


def _from_counts(series: SeriesHeaders, notes: list[str]) -> tuple[NDArray[np.float64], str]:
    if series.has("PhilipsSUVScaleFactor"):
        factors = series.numbers("PhilipsSUVScaleFactor")
        if (factors > 0).all():
            return factors, "CNTS: Philips SUV scale factor"
    if series.has("PhilipsActivityConcentrationScaleFactor"):
        to_bqml = series.numbers("PhilipsActivityConcentrationScaleFactor", above_zero=True)
        factors, rule = _from_activity(series, notes)
        return to_bqml * factors, f"CNTS: Philips activity scale factor, then {rule}"
    raise SuvUnavailableError(
        f"{named('Units')} is CNTS, and neither {named('PhilipsSUVScaleFactor')} above zero "
        f"nor {named('PhilipsActivityConcentrationScaleFactor')} is there"
    )


def _from_activity(series: SeriesHeaders, notes: list[str]) -> tuple[NDArray[np.float64], str]:
    weight = weight_kg(series, notes)
    dose = dose_bq(series, weight, notes)
    share, rule = dose_left(series, series.text("DecayCorrection").upper(), notes)
    return 1000 * weight / (dose * share), f"BQML: weight / dose, {rule}"


def _height_m(series: SeriesHeaders, notes: list[str]) -> float:
    height_m = series.number("PatientSize")
    if height_m > LARGEST_HEIGHT_M:
        unit, per_m = ("centimetres", 100) if height_m <= 100 * LARGEST_HEIGHT_M else ("millimetres", 1000)
        notes.append(f"{named('PatientSize')} {height_m:g} was taken as {unit}")
        height_m /= per_m
    return height_m
