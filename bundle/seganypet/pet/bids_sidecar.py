"""SUV of a NIfTI from the BIDS PET sidecar beside it.

Fields: https://bids-specification.readthedocs.io/en/stable/modality-specific-files/positron-emission-tomography.html
BIDS keeps the body weight in participants.tsv; converters write it into the sidecar as `BodyWeight` or `PatientWeight`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seganypet.pet.errors import SuvUnavailableError
from seganypet.pet.injection import LONGEST_WAIT_HALF_LIVES
from seganypet.pet.suffixes import ITK_SUFFIXES, NIFTI_SUFFIXES
from seganypet.pet.volume import SUVBW, SuvProvenance

# half-lives in seconds, Bureau International des Poids et Mesures, Monographie-5 tables (rounded)
HALF_LIFE_S = {
    "F18": 6586.2,
    "C11": 1221.8,
    "N13": 597.9,
    "O15": 122.2,
    "GA68": 4062.6,
    "CU64": 45723.6,
    "ZR89": 282280.0,
    "Y90": 230550.0,
    "RB82": 76.4,
    "I124": 360806.4,
}
ELEMENTS = {
    "FLUORINE": "F",
    "CARBON": "C",
    "NITROGEN": "N",
    "OXYGEN": "O",
    "GALLIUM": "GA",
    "COPPER": "CU",
    "ZIRCONIUM": "ZR",
    "YTTRIUM": "Y",
    "RUBIDIUM": "RB",
    "IODINE": "I",
}
_BQML_PER = {"bq/ml": 1.0, "bqml": 1.0, "kbq/ml": 1e3, "mbq/ml": 1e6}
_PER_BQ = {"bq": 1.0, "kbq": 1e3, "mbq": 1e6, "gbq": 1e9}
_SUV_UNITS = {"g/ml", "gml", "suv", "suvbw"}


@dataclass(frozen=True)
class SidecarSuv:
    """What turns a NIfTI's values into SUV.

    Args:
        factor: SUV per value in `units`; None where the sidecar does not suffice.
        units: "SUVbw", "BQML", or what else the sidecar calls the stored values.
        to_units: `units` per stored value: 1000 where those are kBq/mL and `units` BQML.
        provenance: rule and fields, or the reason there is no factor.
    """

    factor: float | None
    units: str
    to_units: float
    provenance: SuvProvenance


def sidecar_of(image: Path) -> Path | None:
    """The JSON beside a NIfTI, NRRD or MetaImage: same name, .json for its ending. None where there is none."""
    endings = [end for end in (*NIFTI_SUFFIXES, *ITK_SUFFIXES) if image.name.lower().endswith(end)]
    if not endings:
        return None
    candidate = image.with_name(f"{image.name[: -len(max(endings, key=len))]}.json")
    return candidate if candidate.is_file() else None


def sidecar_suv(path: Path) -> SidecarSuv | None:
    """SUV factor by the sidecar's fields; None where the file says nothing of units and so is no PET sidecar.

    The dose is decayed from `InjectionStart` to `ImageDecayCorrectionTime`, both in seconds from `TimeZero`.

    Raises:
        ValueError: the file is not a JSON object.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows' editors put a byte order mark
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(fields).__name__}")
    if "Units" not in fields:
        return None
    units = str(fields["Units"]).strip().lower()
    if units in _SUV_UNITS:
        return SidecarSuv(1.0, SUVBW, 1.0, SuvProvenance(rule=f"sidecar: Units {fields['Units']}"))
    stored, to_units = ("BQML", _BQML_PER[units]) if units in _BQML_PER else (str(fields["Units"]), 1.0)
    try:
        factor, used, notes = _suv_per_bqml(fields, units)
    except SuvUnavailableError as error:
        return SidecarSuv(None, stored, to_units, SuvProvenance(reason=f"{error.reason} ({path.name})"))
    rule = "sidecar: Bq/mL × weight / dose decayed from InjectionStart to ImageDecayCorrectionTime"
    return SidecarSuv(factor, stored, to_units, SuvProvenance(rule, None, None, used, notes))


def _suv_per_bqml(fields: dict[str, Any], units: str) -> tuple[float, dict[str, str], tuple[str, ...]]:
    if units not in _BQML_PER:
        raise SuvUnavailableError(f"Units {fields['Units']!r} of the sidecar is neither Bq/mL nor SUV")
    if str(fields.get("ImageDecayCorrected")).lower() == "false":
        raise SuvUnavailableError("ImageDecayCorrected is false: frames would have to be corrected one by one")
    used: dict[str, str] = {}

    def number(*names: str, positive: bool = True) -> float:
        odd = ""
        for name in names:
            value = fields.get(name)
            if isinstance(value, list) and len(value) == 1:
                value = value[0]
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                if positive and value <= 0:
                    raise SuvUnavailableError(f"{name} of the sidecar is {value}")
                used[name] = str(value)
                return float(value)
            if value is not None and not odd:
                odd = f"{name} of the sidecar is {value!r}, no number"
        raise SuvUnavailableError(odd or f"{' or '.join(names)} is missing in the sidecar")

    weight_g = 1000.0 * number("BodyWeight", "PatientWeight")
    dose = number("InjectedRadioactivity")
    dose_units = str(fields.get("InjectedRadioactivityUnits", "MBq")).strip()
    if dose_units.lower() not in _PER_BQ:
        raise SuvUnavailableError(
            f"InjectedRadioactivityUnits {dose_units!r} of the sidecar is not Bq, kBq, MBq or GBq"
        )
    used["InjectedRadioactivityUnits"] = dose_units
    notes = () if "InjectedRadioactivityUnits" in fields else ("InjectedRadioactivity taken as MBq, BIDS' unit",)
    elapsed_s = number("ImageDecayCorrectionTime", positive=False) - number("InjectionStart", positive=False)
    if elapsed_s < 0:
        raise SuvUnavailableError("ImageDecayCorrectionTime lies before InjectionStart in the sidecar")
    nuclide = _nuclide(str(fields.get("TracerRadionuclide") or ""))
    if fields.get("RadionuclideHalfLife") is not None:
        half_life_s = number("RadionuclideHalfLife")
    elif nuclide in HALF_LIFE_S:
        half_life_s = HALF_LIFE_S[nuclide]
        used["TracerRadionuclide"] = str(fields["TracerRadionuclide"])
    elif nuclide:
        raise SuvUnavailableError(
            f"TracerRadionuclide {fields['TracerRadionuclide']!r} of the sidecar is none of {', '.join(HALF_LIFE_S)}; "
            "RadionuclideHalfLife is missing"
        )
    else:
        raise SuvUnavailableError("RadionuclideHalfLife or TracerRadionuclide is missing in the sidecar")
    if elapsed_s > LONGEST_WAIT_HALF_LIVES * half_life_s:
        raise SuvUnavailableError(
            f"ImageDecayCorrectionTime {used['ImageDecayCorrectionTime']} s of the sidecar lies "
            f"{elapsed_s / half_life_s:.0f} half-lives after InjectionStart {used['InjectionStart']} s"
        )
    dose_bq = dose * _PER_BQ[dose_units.lower()] * math.exp(-math.log(2.0) * elapsed_s / half_life_s)
    return weight_g / dose_bq, used, notes


def _nuclide(name: str) -> str:
    """ "F18" for "F18", "18F", "F-18", "[18F]" and "Fluorine-18"; empty where no nuclide is named."""
    letters, digits = re.search("[A-Za-z]+", name), re.search("[0-9]+", name)
    if not (letters and digits):
        return name.strip()
    element = letters.group().upper()
    return f"{ELEMENTS.get(element, element)}{digits.group()}"
