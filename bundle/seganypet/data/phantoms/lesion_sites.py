"""Where lesions grow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seganypet.data.phantoms.anatomy import LUNG_VALUES, VALUES


@dataclass(frozen=True)
class Site:
    """A place where lesions grow.

    Args:
        name: what a reader would call it.
        inside: label names that a lesion there starts in and may replace.
        volume_ml: smallest and largest volume; what is drawn for all sites is fitted into it.
        weight: how often it is drawn.
        centre: template coordinates (mm) that it lies around; None for anywhere in `inside`.
        spread_mm: how far from `centre` a lesion may start.
        mirrored: whether the same place exists on the other side.
        stretch: longest over shortest axis, at most, the longest near the body's axis where above 2.
    """

    name: str
    inside: tuple[str, ...]
    volume_ml: tuple[float, float]
    weight: float
    centre: tuple[float, float, float] | None = None
    spread_mm: float = 15.0
    mirrored: bool = False
    stretch: float = 1.6


_SOFT = ("fat", "muscle", "vessels", "bowel")
LUNG_NAMES = tuple(name for name, value in VALUES.items() if value in LUNG_VALUES)
SITES: tuple[Site, ...] = (
    Site("lung", LUNG_NAMES, (0.2, 80), 3.0),
    Site("liver", ("liver",), (0.2, 120), 2.5),
    Site("bone", ("skeleton",), (0.2, 30), 2.5),
    Site("spleen", ("spleen",), (0.5, 20), 0.3),
    Site("bowel", (*_SOFT, "stomach"), (1, 60), 0.8, (0, 20, 190), 80),
    Site("mediastinal node", (*_SOFT, *LUNG_NAMES), (0.2, 30), 2.0, (10, 4, 500), 45),
    Site("hilar mass", (*_SOFT, *LUNG_NAMES), (5, 150), 0.8, (42, -5, 485), 20, True),
    Site("axillary node", _SOFT, (0.2, 15), 1.0, (140, 10, 545), 20, True),
    Site("cervical node", _SOFT, (0.2, 12), 1.6, (42, 4, 670), 25, True),
    Site("supraclavicular node", _SOFT, (0.2, 10), 1.0, (48, 12, 612), 15, True),
    Site("head and neck primary", _SOFT, (1, 30), 0.6, (12, 30, 715), 22, True),
    Site("para-aortic node", _SOFT, (0.2, 25), 1.2, (12, -12, 255), 35, True),
    Site("iliac node", _SOFT, (0.2, 15), 1.0, (52, 5, 125), 22, True),
    Site("inguinal node", _SOFT, (0.2, 12), 1.0, (72, 55, 35), 18, True),
    Site("beside the bladder", (*_SOFT, "prostate", "uterus"), (0.5, 60), 1.0, (28, -4, 80), 24, True),
    Site("prostate", ("prostate",), (0.2, 6), 0.4),
    Site(
        "beside the heart", (*_SOFT, "lung_upper_lobe_left", "lung_lower_lobe_left"), (0.5, 40), 0.8, (-75, 35, 445), 22
    ),
    Site("brain", ("brain",), (0.2, 20), 0.4),
    Site("adrenal", (*_SOFT, "liver"), (0.5, 30), 0.6, (48, -40, 355), 12, True),
    Site("peritoneal", _SOFT, (0.2, 20), 0.6, (0, 60, 210), 70),
    Site("breast or chest wall", _SOFT, (0.5, 80), 0.8, (95, 95, 490), 30, True),
    Site("thigh sarcoma", ("muscle", "fat"), (25, 900), 3.0, (90, 0, -70), 75, True, 3.0),
    Site("buttock sarcoma", ("muscle", "fat"), (25, 700), 1.2, (75, -70, 60), 35, True, 2.2),
    Site("trunk sarcoma", ("muscle", "fat"), (10, 500), 1.0, (120, -30, 330), 120, True, 2.2),
    Site("arm sarcoma", ("muscle", "fat"), (5, 150), 0.6, (185, 0, 650), 50, True, 3.0),
)
LARGE_SITES = tuple(site for site in SITES if site.name.endswith("sarcoma"))

CLUSTER_SITES: tuple[Site, ...] = (
    Site("neck cluster", _SOFT, (0.2, 15), 3.0, (42, 4, 670), 30, True),
    Site("supraclavicular cluster", _SOFT, (0.2, 10), 1.0, (48, 12, 612), 20, True),
    Site("mediastinal cluster", (*_SOFT, *LUNG_NAMES), (0.2, 20), 2.0, (10, 4, 500), 40),
    Site("axillary cluster", _SOFT, (0.2, 12), 1.5, (140, 10, 545), 25, True),
    Site("groin cluster", _SOFT, (0.2, 12), 1.5, (72, 55, 35), 25, True),
    Site("liver cluster", ("liver",), (0.2, 30), 2.0),
    Site("lung cluster", LUNG_NAMES, (0.2, 10), 1.0),
    Site("retroperitoneal cluster", _SOFT, (0.2, 20), 1.5, (12, -12, 240), 45, True),
    Site("spine cluster", ("skeleton",), (0.2, 12), 2.0, (0, -60, 330), 280),
)
"""Where nodes or metastases lie side by side."""

_FLESH = ("fat", "muscle", "vessels")
_AROUND = (*_FLESH, "skeleton", *LUNG_NAMES)
BESIDE: tuple[tuple[str, Site], ...] = (
    ("brain", Site("touching the brain", (*_FLESH, "skeleton"), (0.2, 15), 2.0)),
    ("heart", Site("touching the heart", _AROUND, (0.2, 40), 1.5)),
    ("kidney_right", Site("touching a kidney", _FLESH, (0.2, 40), 0.75)),
    ("kidney_left", Site("touching a kidney", _FLESH, (0.2, 40), 0.75)),
    (
        "urinary_bladder",
        Site("touching the bladder", (*_FLESH, "prostate", "uterus"), (0.2, 40), 2.0),
    ),
    ("bowel", Site("touching bowel", _FLESH, (0.2, 40), 1.5)),
    ("liver", Site("at the liver dome", LUNG_NAMES, (0.2, 20), 1.0)),
    ("liver", Site("touching the liver", _FLESH, (0.2, 30), 0.5)),
    ("parotid_gland_right", Site("touching a salivary gland", _FLESH, (0.2, 12), 0.5)),
    ("parotid_gland_left", Site("touching a salivary gland", _FLESH, (0.2, 12), 0.5)),
)
"""Lesions at an organ's border: the organ's label, and what the lesion replaces around it."""


REAL_LUNG = Site("as in a real lung", (*_FLESH, *LUNG_NAMES), (0.2, 150), 1.0)
REAL_ELSEWHERE = Site(
    "as in a real patient", (*_FLESH, *LUNG_NAMES, "skeleton", "liver", "bowel", "spleen"), (0.2, 150), 1.0
)
"""What a real lesion may replace where it is planted at its own place."""


def lookup(site: Site, size: int) -> np.ndarray:
    """Whether each label value is among those a site's lesions may replace, bool [size]."""
    table = np.zeros(size, dtype=bool)
    table[[VALUES[name] for name in site.inside]] = True
    return table
