"""What a label means, in the coded terms of a DICOM SEG (PS3.16 CID 7150, 7151, 7159, 7192), by its name.

Labels are the user's own words. Known ones get their SNOMED CT code, left and right as a modifier; any other keeps its
name and is coded as tissue.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.sr.coding import Code

_CATEGORY = {
    "anatomy": Code("123037004", "SCT", "Anatomical Structure"),
    "lesion": Code("49755003", "SCT", "Morphologically Abnormal Structure"),
    "tissue": Code("85756007", "SCT", "Tissue"),
}
ANATOMICAL_STRUCTURE = _CATEGORY["anatomy"]
_SIDES = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}

# name, in the singular → code value and meaning
_LESIONS = {
    "lesion": ("52988006", "Lesion"),
    "tumor": ("108369006", "Neoplasm"),
    "tumour": ("108369006", "Neoplasm"),
    "neoplasm": ("108369006", "Neoplasm"),
    "gtv": ("86049000", "Neoplasm, Primary"),
    "primary": ("86049000", "Neoplasm, Primary"),
    "primary tumor": ("86049000", "Neoplasm, Primary"),
    "primary tumour": ("86049000", "Neoplasm, Primary"),
    "metastasis": ("14799000", "Neoplasm, Secondary"),
    "edema": ("79654002", "Edema"),
    "necrosis": ("6574001", "Necrosis"),
}
_ANATOMY = {
    "adrenal gland": ("23451007", "Adrenal gland"),
    "aorta": ("15825003", "Aorta"),
    "bladder": ("89837001", "Bladder"),
    "bone": ("272673000", "Bone"),
    "bone marrow": ("14016003", "Bone Marrow"),
    "brain": ("12738006", "Brain"),
    "breast": ("76752008", "Breast"),
    "colon": ("71854001", "Colon"),
    "duodenum": ("38848004", "Duodenum"),
    "esophagus": ("32849002", "Esophagus"),
    "femur": ("71341001", "Femur"),
    "gallbladder": ("28231008", "Gallbladder"),
    "heart": ("80891009", "Heart"),
    "inferior vena cava": ("64131007", "Inferior Vena Cava"),
    "kidney": ("64033007", "Kidney"),
    "liver": ("10200004", "Liver"),
    "lower lobe lung": ("90572001", "Lower lobe of lung"),
    "lung": ("39607008", "Lung"),
    "lymph node": ("59441001", "Lymph node"),
    "marrow": ("14016003", "Bone Marrow"),
    "middle lobe lung": ("72481006", "Middle lobe of right lung"),
    "muscle": ("71616004", "Muscle"),
    "pancreas": ("15776009", "Pancreas"),
    "parotid gland": ("45289007", "Parotid gland"),
    "prostate": ("41216001", "Prostate"),
    "skeletal muscle": ("127954009", "Skeletal muscle"),
    "small bowel": ("30315005", "Small intestine"),
    "small intestine": ("30315005", "Small intestine"),
    "spinal cord": ("2748008", "Spinal cord"),
    "spleen": ("78961009", "Spleen"),
    "stomach": ("69695003", "Stomach"),
    "submandibular gland": ("54019009", "Submandibular gland"),
    "testis": ("40689003", "Testis"),
    "thyroid": ("69748006", "Thyroid"),
    "thyroid gland": ("69748006", "Thyroid"),
    "trachea": ("44567001", "Trachea"),
    "urinary bladder": ("89837001", "Bladder"),
    "upper lobe lung": ("45653009", "Upper lobe of lung"),
    "uterus": ("35039007", "Uterus"),
}
_MEANS_LESION = re.compile(r"lesion|tumou?r|metasta|gtv|cancer|carcinoma|sarcoma|lymphoma", re.IGNORECASE)
_NO_MEANING = {"of", "the", "structure", "organ"}
_BY_WORDS = {
    frozenset(name.split()): (kind, Code(value, "SCT", meaning))
    for kind, names in (("lesion", _LESIONS), ("anatomy", _ANATOMY))
    for name, (value, meaning) in names.items()
}


@dataclass(frozen=True)
class SegmentCode:
    """Category and type of a segment.

    Args:
        category: anatomical structure, morphologically abnormal structure, or tissue.
        type: the organ or lesion; tissue where the name is not known.
        side: left or right, None where the name says neither.
    """

    category: Code
    type: Code
    side: Code | None = None


def is_lesion(label: str) -> bool:
    """Whether a label's name says that each of its connected components is a target of its own.

    One rule for trainings, evaluations, the server and what a DICOM SEG calls a morphologically abnormal structure.
    """
    return code_of_label(label).category == _CATEGORY["lesion"]


def code_of_label(label: str) -> SegmentCode:
    """Codes for a label's name: "liver", "left kidney", "kidney_left", "lung_upper_lobe_right", "lesion 2"."""
    words = [word for word in re.split(r"[^a-z]+", label.lower()) if word and word not in _NO_MEANING]
    side = next((_SIDES[word] for word in words if word in _SIDES), None)
    bare = frozenset(_singular(word) for word in words if word not in _SIDES)
    if bare in _BY_WORDS:
        kind, code = _BY_WORDS[bare]
        return SegmentCode(_CATEGORY[kind], code, side)
    # "liver lesion", "lesion in the thigh": a lesion wherever it lies
    lesion = next((name for name in _LESIONS if name in bare), None)
    if lesion is None and _MEANS_LESION.search(label):  # "GTVp", "prostate cancer", "B-cell lymphoma"
        lesion = "lesion"
    if lesion is not None:
        return SegmentCode(_CATEGORY["lesion"], _BY_WORDS[frozenset([lesion])][1], side)
    return SegmentCode(_CATEGORY["tissue"], _CATEGORY["tissue"], side)


def _singular(word: str) -> str:
    irregular = {"metastases": "metastasis", "testes": "testis", "met": "metastasis", "mets": "metastasis"}
    if word in irregular or not word.endswith("s") or word.endswith(("ss", "is", "us", "as")):
        return irregular.get(word, word)
    return word[:-1]
