"""Label values and FDG uptake of a phantom's tissues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LABELS: dict[int, str] = {
    1: "fat",
    2: "muscle",
    3: "skeleton",
    4: "brain",
    5: "heart",
    6: "liver",
    7: "spleen",
    8: "kidney_right",
    9: "kidney_left",
    10: "urinary_bladder",
    11: "lung_upper_lobe_left",
    12: "lung_lower_lobe_left",
    13: "lung_upper_lobe_right",
    14: "lung_middle_lobe_right",
    15: "lung_lower_lobe_right",
    16: "aorta",
    17: "prostate",
    18: "uterus",
    19: "bowel",
    20: "stomach",
    21: "pancreas",
    22: "parotid_gland_right",
    23: "parotid_gland_left",
    24: "tonsils",
    25: "thyroid_gland",
    26: "vessels",
    27: "ureters",
    28: "testes",
    29: "spinal_cord",
    30: "gallbladder",
    31: "airways",
}
VALUES: dict[str, int] = {name: value for value, name in LABELS.items()}
LUNG_VALUES = (11, 12, 13, 14, 15)
CONTEXT_NAMES = frozenset(
    {"fat", "muscle", "skeleton", "vessels", "ureters", "airways", "spinal_cord", "bowel"}
    | {"tonsils", "testes", "thyroid_gland"}
)
"""Tissues that fill the body, or come in pairs under one value: nobody clicks them as one target."""

FIRST_LESION = 101
LESION_PREFIX = "lesion"


def lesion_name(number: int) -> str:
    """Label name of a patient's lesion, counted from 1: "lesion_1"."""
    return f"{LESION_PREFIX}_{number}"


@dataclass(frozen=True)
class Uptake:
    """FDG uptake of a tissue, an hour after injection.

    Args:
        low: SUVbw near the lower end between patients.
        high: SUVbw near the upper end.
        texture: coefficient of variation of the low-frequency variation inside one patient's tissue.
    """

    low: float
    high: float
    texture: float = 0.06

    def draw(self, rng: np.random.Generator) -> float:
        """One patient's mean SUV, between low and high, the middle of the range (in log SUV) most often."""
        return float(np.exp(np.log(self.low) + rng.beta(1.6, 1.6) * np.log(self.high / self.low)))


UPTAKE: dict[str, Uptake] = {
    "air": Uptake(0.005, 0.02, 0.0),
    "fat": Uptake(0.2, 0.4, 0.12),
    "muscle": Uptake(0.45, 0.85, 0.16),
    "skin": Uptake(0.35, 0.7, 0.1),
    "marrow": Uptake(0.9, 2.0, 0.1),
    "cortical_bone": Uptake(0.35, 0.7, 0.1),
    "brain": Uptake(6.0, 14.0, 0.08),
    "blood": Uptake(1.2, 2.0, 0.05),
    "myocardium": Uptake(1.5, 12.0, 0.12),
    "liver": Uptake(1.6, 2.9, 0.05),
    "spleen": Uptake(1.25, 2.4, 0.05),
    "kidney": Uptake(2.0, 4.2, 0.1),
    "renal_pelvis": Uptake(3.5, 18.0, 0.1),
    "urinary_bladder": Uptake(5.0, 55.0, 0.04),
    "lung": Uptake(0.32, 0.65, 0.12),
    "bowel": Uptake(0.8, 2.4, 0.2),
    "small_bowel": Uptake(0.8, 2.4, 0.2),
    "lacrimal_gland": Uptake(0.6, 1.4, 0.1),
    "stomach": Uptake(1.2, 3.0, 0.15),
    "pancreas": Uptake(1.1, 1.9, 0.1),
    "gallbladder": Uptake(0.4, 0.9, 0.05),
    "prostate": Uptake(1.3, 2.6, 0.1),
    "uterus": Uptake(1.1, 2.4, 0.1),
    "parotid_gland": Uptake(1.2, 2.6, 0.1),
    "tonsils": Uptake(1.8, 4.5, 0.1),
    "thyroid_gland": Uptake(1.0, 2.0, 0.1),
    "testes": Uptake(1.5, 3.0, 0.1),
    "spinal_cord": Uptake(1.1, 1.9, 0.08),
}
"""SUVbw by tissue; the ranges of textbook FDG scans, adults, 60 minutes after injection."""


_HOT_GLANDS: dict[str, dict[str, Uptake]] = {
    "psma": {
        "brain": Uptake(0.06, 0.25, 0.1),
        "myocardium": Uptake(0.9, 1.8, 0.08),
        "blood": Uptake(0.8, 1.8, 0.05),
        "marrow": Uptake(0.4, 1.0, 0.1),
        "liver": Uptake(3.0, 9.0, 0.06),
        "spleen": Uptake(2.5, 12.0, 0.07),
        "kidney": Uptake(20.0, 60.0, 0.15),
        "renal_pelvis": Uptake(15.0, 70.0, 0.1),
        "urinary_bladder": Uptake(4.0, 60.0, 0.04),
        "small_bowel": Uptake(3.0, 14.0, 0.3),
        "bowel": Uptake(0.8, 2.5, 0.2),
        "stomach": Uptake(1.5, 4.0, 0.15),
        "pancreas": Uptake(1.2, 2.8, 0.1),
        "gallbladder": Uptake(1.0, 20.0, 0.05),
        "prostate": Uptake(2.0, 5.0, 0.15),
        "parotid_gland": Uptake(7.0, 25.0, 0.12),
        "lacrimal_gland": Uptake(3.0, 14.0, 0.1),
        "tonsils": Uptake(1.2, 3.0, 0.1),
        "thyroid_gland": Uptake(0.9, 2.0, 0.1),
        "testes": Uptake(0.8, 1.5, 0.1),
        "spinal_cord": Uptake(0.4, 0.9, 0.08),
    },
    "dotatate": {
        "brain": Uptake(0.05, 0.2, 0.1),
        "myocardium": Uptake(0.8, 1.6, 0.08),
        "blood": Uptake(0.6, 1.4, 0.05),
        "marrow": Uptake(0.5, 1.2, 0.1),
        "liver": Uptake(4.0, 11.0, 0.06),
        "spleen": Uptake(12.0, 40.0, 0.07),
        "kidney": Uptake(9.0, 25.0, 0.12),
        "renal_pelvis": Uptake(8.0, 30.0, 0.1),
        "urinary_bladder": Uptake(5.0, 45.0, 0.04),
        "small_bowel": Uptake(2.0, 6.0, 0.25),
        "bowel": Uptake(1.0, 3.0, 0.2),
        "stomach": Uptake(2.0, 6.0, 0.15),
        "pancreas": Uptake(2.0, 7.0, 0.2),
        "prostate": Uptake(1.5, 4.0, 0.12),
        "parotid_gland": Uptake(1.5, 5.0, 0.12),
        "lacrimal_gland": Uptake(0.8, 2.0, 0.1),
        "tonsils": Uptake(1.0, 2.5, 0.1),
        "thyroid_gland": Uptake(1.5, 6.0, 0.1),
        "testes": Uptake(0.8, 1.5, 0.1),
        "spinal_cord": Uptake(0.5, 1.0, 0.08),
    },
}
UPTAKES: dict[str, dict[str, Uptake]] = {"fdg": UPTAKE} | {name: UPTAKE | own for name, own in _HOT_GLANDS.items()}
"""SUVbw by tracer and tissue. The two others stand for what FDG never shows: hot salivary glands, spleen, kidneys and
small bowel, a cold brain. Their ranges are those of published biodistributions of Ga-68 PSMA-11 and Ga-68 DOTATATE; a
patient measured with Lu-177 DOTATATE (BenAuer2021) had a spleen of 3.3 and kidneys of 2.2 times the liver's uptake,
tumours of 8 and 24 times."""


def draw_uptakes(rng: np.random.Generator, tracer: str = "fdg") -> dict[str, float]:
    """One patient's mean SUV of every tissue. Blood, liver, spleen and marrow rise and fall together.

    Raises:
        ValueError: a tracer that is none of `UPTAKES`.
    """
    if tracer not in UPTAKES:
        raise ValueError(f"tracer must be one of {', '.join(UPTAKES)}, got {tracer!r}")
    ranges = UPTAKES[tracer]
    suv = {tissue: uptake.draw(rng) for tissue, uptake in ranges.items()}
    common = np.exp(rng.normal(0.0, 0.1))
    for tissue in ("blood", "liver", "spleen", "marrow", "lung"):
        uptake = ranges[tissue]
        suv[tissue] = float(np.clip(suv[tissue] * common, uptake.low, uptake.high))
    return suv
