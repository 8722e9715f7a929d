"""What the names in an organ label map mean for a phantom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Tissue:
    """What a phantom makes of one label of a map.

    Args:
        label: the phantom's label name.
        uptake: the key of its mean SUV in `UPTAKE`.
        factor: its SUV over that mean.
    """

    label: str
    uptake: str
    factor: float = 1.0


_SIDE_FIRST = re.compile(r"(left|right)_(.+)")
_TISSUES: tuple[tuple[str, Tissue], ...] = (
    # What another rule's name begins with or holds stands before it: cartilage of the thyroid, discs of the sacrum.
    (r".*cartilage", Tissue("muscle", "muscle", 0.9)),
    (r".*intervertebraldisc", Tissue("skeleton", "marrow", 0.55)),
    (r"renal_pelvis_right", Tissue("kidney_right", "renal_pelvis")),
    (r"renal_pelvis_left", Tissue("kidney_left", "renal_pelvis")),
    (r"ureter", Tissue("ureters", "renal_pelvis", 0.5)),
    (r"brainstem", Tissue("brain", "brain", 0.62)),
    (r"brachiocephalic", Tissue("vessels", "blood")),
    (r"arch_of_aorta|aorta", Tissue("aorta", "blood")),
    (r".*(arter|vein|vena|carotid|jugular|trunk|vessels)", Tissue("vessels", "blood")),
    (r".*muscle|gluteus|autochthon|iliopsoas", Tissue("muscle", "muscle")),
    (r"kidney_cyst", Tissue("fat", "gallbladder")),
    (r"kidney_right", Tissue("kidney_right", "kidney")),
    (r"kidney_left", Tissue("kidney_left", "kidney")),
    (r"lung_upper_lobe_left", Tissue("lung_upper_lobe_left", "lung")),
    (r"lung_lower_lobe_left", Tissue("lung_lower_lobe_left", "lung")),
    (r"lung_upper_lobe_right", Tissue("lung_upper_lobe_right", "lung")),
    (r"lung_middle_lobe_right", Tissue("lung_middle_lobe_right", "lung")),
    (r"lung_lower_lobe_right", Tissue("lung_lower_lobe_right", "lung")),
    (r"lungs", Tissue("lung_upper_lobe_right", "lung")),  # split into lobes later
    (r"(urinary_)?bladder", Tissue("urinary_bladder", "urinary_bladder")),
    (r"atrial_appendage|heart", Tissue("heart", "blood")),
    (r"liver", Tissue("liver", "liver")),
    (r"spleen", Tissue("spleen", "spleen")),
    (r"stomach", Tissue("stomach", "stomach")),
    (r"pancreas", Tissue("pancreas", "pancreas")),
    (r"gallbladder", Tissue("gallbladder", "gallbladder")),
    (r"prostate", Tissue("prostate", "prostate")),
    (r"uterus", Tissue("uterus", "uterus")),
    (r"thyroid", Tissue("thyroid_gland", "thyroid_gland")),
    (r"parotid_gland_right", Tissue("parotid_gland_right", "parotid_gland")),
    (r"parotid_gland_left", Tissue("parotid_gland_left", "parotid_gland")),
    (r"brain", Tissue("brain", "brain")),
    (r"spinal_cord", Tissue("spinal_cord", "spinal_cord")),
    (r"small_bowel", Tissue("bowel", "small_bowel")),
    (r"colon|bowel", Tissue("bowel", "bowel")),
    (r"duodenum", Tissue("bowel", "small_bowel", 1.2)),
    (r"esophagus", Tissue("muscle", "stomach", 0.8)),
    (r"larynx", Tissue("muscle", "muscle", 1.5)),
    (r"adrenal_gland", Tissue("fat", "pancreas", 0.9)),
    (r"trachea|bronchi|air", Tissue("airways", "air")),
    (r"vertebrae|cervical\d|thoracic\d|lumbar\d|atlas|axis", Tissue("skeleton", "marrow")),
    (r"sacrum", Tissue("skeleton", "marrow", 0.9)),
    (r"hip|pelvis|sternum", Tissue("skeleton", "marrow", 0.85)),
    (r"skull|mandible|hyoid", Tissue("skeleton", "cortical_bone")),
    (r"skeleton|bone", Tissue("skeleton", "marrow", 0.8)),
    (r"rib|scapula|clavic|humerus|femur", Tissue("skeleton", "marrow", 0.6)),
    (r"body", Tissue("muscle", "muscle")),
    (r"adipose_tissue|skin", Tissue("fat", "fat")),
)
KNOWN = (
    "TotalSegmentator's, the Head and Neck Atlas' and the Abdominal Atlas' names, and plain ones: body, "
    "adipose_tissue, skeleton, lungs, air, brain"
)


def plain_name(name: str) -> str:
    """A label's name in lower case, its side last: "right_kidney" and "kidney_right" are one."""
    lower = name.lower()
    match = _SIDE_FIRST.fullmatch(lower)
    return f"{match[2]}_{match[1]}" if match else lower


def tissues_of(names: Mapping[int, str]) -> dict[int, Tissue]:
    """The tissue of each value of a label map.

    Args:
        names: name of each value, as `KNOWN` says.

    Raises:
        ValueError: names that mean no tissue here, all of them.
    """
    tissues, unknown = {}, []
    for value, name in names.items():
        found = next((tissue for pattern, tissue in _TISSUES if re.match(pattern, plain_name(name))), None)
        if found is None:
            unknown.append(f"{name!r} ({value})")
        else:
            tissues[int(value)] = found
    if unknown:
        raise ValueError(f"label map names without a tissue: {', '.join(unknown)}; known are {KNOWN}")
    return tissues
