"""What the names in an organ label map mean for a phantom."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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


_BY_PREFIX: tuple[tuple[str, Tissue], ...] = (
    ("kidney_cyst", Tissue("fat", "gallbladder")),
    ("kidney_right", Tissue("kidney_right", "kidney")),
    ("kidney_left", Tissue("kidney_left", "kidney")),
    ("lung_upper_lobe_left", Tissue("lung_upper_lobe_left", "lung")),
    ("lung_lower_lobe_left", Tissue("lung_lower_lobe_left", "lung")),
    ("lung_upper_lobe_right", Tissue("lung_upper_lobe_right", "lung")),
    ("lung_middle_lobe_right", Tissue("lung_middle_lobe_right", "lung")),
    ("lung_lower_lobe_right", Tissue("lung_lower_lobe_right", "lung")),
    ("lungs", Tissue("lung_upper_lobe_right", "lung")),  # split into lobes later
    ("urinary_bladder", Tissue("urinary_bladder", "urinary_bladder")),
    ("bladder", Tissue("urinary_bladder", "urinary_bladder")),
    ("atrial_appendage", Tissue("heart", "blood")),
    ("heart", Tissue("heart", "blood")),
    ("aorta", Tissue("aorta", "blood")),
    ("liver", Tissue("liver", "liver")),
    ("spleen", Tissue("spleen", "spleen")),
    ("stomach", Tissue("stomach", "stomach")),
    ("pancreas", Tissue("pancreas", "pancreas")),
    ("gallbladder", Tissue("gallbladder", "gallbladder")),
    ("prostate", Tissue("prostate", "prostate")),
    ("uterus", Tissue("uterus", "uterus")),
    ("thyroid", Tissue("thyroid_gland", "thyroid_gland")),
    ("brain", Tissue("brain", "brain")),
    ("spinal_cord", Tissue("spinal_cord", "spinal_cord")),
    ("small_bowel", Tissue("bowel", "bowel")),
    ("duodenum", Tissue("bowel", "bowel", 0.9)),
    ("colon", Tissue("bowel", "bowel")),
    ("bowel", Tissue("bowel", "bowel")),
    ("esophagus", Tissue("muscle", "stomach", 0.8)),
    ("adrenal_gland", Tissue("fat", "pancreas", 0.9)),
    ("trachea", Tissue("airways", "air")),
    ("bronchi", Tissue("airways", "air")),
    ("air", Tissue("airways", "air")),
    ("vertebrae", Tissue("skeleton", "marrow")),
    ("sacrum", Tissue("skeleton", "marrow", 0.9)),
    ("hip", Tissue("skeleton", "marrow", 0.85)),
    ("sternum", Tissue("skeleton", "marrow", 0.85)),
    ("skull", Tissue("skeleton", "cortical_bone")),
    ("costal_cartilages", Tissue("muscle", "muscle", 0.9)),
    ("skeleton", Tissue("skeleton", "marrow", 0.8)),
    ("body", Tissue("muscle", "muscle")),
    *((name, Tissue("skeleton", "marrow", 0.6)) for name in ("rib_", "scapula", "clavicula", "humerus", "femur")),
    *((name, Tissue("muscle", "muscle")) for name in ("gluteus", "autochthon", "iliopsoas", "muscle")),
    *(
        (name, Tissue("vessels", "blood"))
        for name in (
            "pulmonary_vein",
            "brachiocephalic",
            "subclavian_artery",
            "common_carotid_artery",
            "superior_vena_cava",
            "inferior_vena_cava",
            "portal_vein",
            "iliac_artery",
            "iliac_vena",
            "vessels",
        )
    ),
)


def tissues_of(names: Mapping[int, str]) -> dict[int, Tissue]:
    """The tissue of each value of a label map.

    Args:
        names: name of each value: TotalSegmentator's, or plain ones such as "body", "lungs", "skeleton".

    Raises:
        ValueError: names that mean no tissue here, all of them.
    """
    tissues, unknown = {}, []
    for value, name in names.items():
        found = next((tissue for prefix, tissue in _BY_PREFIX if name.startswith(prefix)), None)
        if found is None:
            unknown.append(f"{name!r} ({value})")
        else:
            tissues[int(value)] = found
    if unknown:
        known = ", ".join(sorted(prefix for prefix, _ in _BY_PREFIX))
        raise ValueError(f"label map names without a tissue: {', '.join(unknown)}; known names begin with {known}")
    return tissues


def read_label_maps(path: str | Path) -> dict[str, dict[int, str]]:
    """Label maps and the names of their values, from a JSON file.

    {"a.nii.gz": {"1": "spleen", ...}, "b.nii.gz": "names.json"}: paths relative to the file, names given there or in
    another JSON file.

    Returns:
        Names by absolute path of the map.

    Raises:
        FileNotFoundError: a file that is not there.
        ValueError: names that are no object of numbers and names, or that mean no tissue.
    """
    path = Path(path)
    maps: dict[str, dict[int, str]] = {}
    for name, names in json.loads(path.read_text()).items():
        labels = (path.parent / name).resolve()
        if not labels.is_file():
            raise FileNotFoundError(f"{path} names a label map that is not there: {labels}")
        if isinstance(names, str):
            names = json.loads((path.parent / names).read_text())
        if not isinstance(names, dict) or not all(str(value).isdigit() for value in names):
            raise ValueError(f"{path}: the names of {name} must be an object like {{'1': 'spleen'}}")
        maps[str(labels)] = {int(value): str(tissue) for value, tissue in names.items()}
        tissues_of(maps[str(labels)])
    return maps
