"""Body sizes that SUV has been normalised by, and the factors that lead from them back to body weight.

SUV normalised by X is activity · X / dose; so SUVbw = SUV_X · weight / X.
"""

from __future__ import annotations

from statistics import mean

SEXES = ("M", "F", "O")


def lean_body_mass_james_kg(weight_kg: float, height_cm: float, sex: str) -> float:
    """Lean body mass by James with the factor 128 (DICOM's LBMJAMES128), at most the weight; sex O the mean of both.

    James, Research on Obesity, HMSO 1976, in the variant with 128 for men.
    """
    ratio = (weight_kg / height_cm) ** 2
    by_sex = {"M": 1.10 * weight_kg - 128.0 * ratio, "F": 1.07 * weight_kg - 148.0 * ratio}
    return min(_for_sex(by_sex, sex), weight_kg)


def lean_body_mass_janmahasatian_kg(weight_kg: float, height_cm: float, sex: str) -> float:
    """Lean body mass by Janmahasatian et al. 2005 (DICOM's LBMJANMA); sex O the mean of both."""
    body_mass_index = weight_kg / (height_cm / 100) ** 2
    by_sex = {
        "M": 9270 * weight_kg / (6680 + 216 * body_mass_index),
        "F": 9270 * weight_kg / (8780 + 244 * body_mass_index),
    }
    return _for_sex(by_sex, sex)


def ideal_body_weight_kg(weight_kg: float, height_cm: float, sex: str) -> float:
    """Ideal body weight (DICOM's IBW), at most the weight; sex O the mean of both."""
    by_sex = {"M": 48.0 + 1.06 * (height_cm - 152.0), "F": 45.5 + 0.91 * (height_cm - 152.0)}
    return min(_for_sex(by_sex, sex), weight_kg)


def body_surface_cm2(weight_kg: float, height_cm: float) -> float:
    """Body surface area by Du Bois and Du Bois 1916."""
    return 1e4 * 0.007184 * height_cm**0.725 * weight_kg**0.425


def _for_sex(by_sex: dict[str, float], sex: str) -> float:
    if sex not in SEXES:
        raise ValueError(f"sex must be one of {', '.join(SEXES)}, got {sex!r}")
    return mean(by_sex.values()) if sex == "O" else by_sex[sex]
