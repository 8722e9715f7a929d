"""One random patient: sex, size, posture, and how much of the body is scanned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SEXES = ("female", "male")
ARMS = ("up", "down")
SCAN_RANGES = ("eyes_to_thigh", "vertex_to_thigh", "whole_body")


@dataclass(frozen=True)
class Patient:
    """What makes one phantom's anatomy differ from another's.

    Args:
        sex: "female" or "male".
        arms: "up" (above the head) or "down".
        scan_range: "eyes_to_thigh", "vertex_to_thigh" or "whole_body".
        scale: size along (x, y, z) over the template's, an adult of about 1.75 m.
        fat_mm: thickness of subcutaneous fat at the trunk, template mm.
        low_z: where the scan ends at the legs, template mm above the crotch.
        high_z: where it ends at the head.
    """

    sex: str
    arms: str
    scan_range: str
    scale: tuple[float, float, float]
    fat_mm: float
    low_z: float
    high_z: float

    @property
    def male(self) -> bool:
        return self.sex == "male"


def draw_patient(
    rng: np.random.Generator, *, sex: str | None = None, arms: str | None = None, scan_range: str | None = None
) -> Patient:
    """A random adult; traits that are given are kept, and the others stay what they would have been.

    Raises:
        ValueError: a trait that is none of `SEXES`, `ARMS`, `SCAN_RANGES`.
    """
    drawn_sex = SEXES[int(rng.integers(2))]
    drawn_arms = ARMS[int(rng.random() < 0.2)]
    drawn_range = SCAN_RANGES[int(rng.choice(3, p=[0.65, 0.25, 0.1]))]
    for name, given, allowed in (
        ("sex", sex, SEXES),
        ("arms", arms, ARMS),
        ("scan_range", scan_range, SCAN_RANGES),
    ):
        if given is not None and given not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {given!r}")
    sex, arms, scan_range = sex or drawn_sex, arms or drawn_arms, scan_range or drawn_range
    stature = np.clip(rng.normal(1.0 if sex == "male" else 0.93, 0.04), 0.82, 1.12)
    build = np.clip(rng.normal(0.0, 0.05), -0.1, 0.14)
    wide, deep = stature * (1 + build), np.clip(rng.normal(1, 0.04), 0.9, 1.1)
    scale = (float(wide), float(wide * deep), float(stature))
    fat_mm = float(np.clip(rng.gamma(4.0, 4.0) + (3 if sex == "female" else 0), 5, 40))
    low_z, high_z = rng.uniform(-330, -130), rng.uniform(765, 815)
    if scan_range != "eyes_to_thigh":
        high_z = 950.0
    if scan_range == "whole_body":
        low_z = -840.0
    return Patient(sex, arms, scan_range, scale, fat_mm, float(low_z), float(high_z))
