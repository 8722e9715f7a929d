"""The public anatomies that phantoms are built on, and which of them training, validation and test may see.

Each source keeps parts out of training. What decides is the file's name, so that a folder can hold any of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seganypet.data.json_file import read_json
from seganypet.data.phantoms.label_map_files import LabelMap
from seganypet.data.phantoms.label_map_names import tissues_of
from seganypet.data.phantoms.lesion_maps import LesionMap

SECTIONS = ("training", "validation", "test")

TOTALSEGMENTATOR = {
    "training": ("s0327", "mk_unknown", "s0000", "s0001", "s0004", "s0009"),
    "validation": ("s0011", "s0002"),
    "test": ("s0328", "s0006", "s0003"),
}
"""Subjects of the TotalSegmentator dataset (Zenodo 6802613)."""

OPENKBP = {
    "training": (1, 9, 25, 33, 49, 57, 97, 113, 121, 137, 177, 185, 201, 209),
    "validation": (41, 105, 169, 225),
    "test": (17, 65, 129, 193, 233),
}
"""Patients of OpenKBP: of those in order every fourth for test, the next fourth in part for validation. Patient 89,
whose CT holds a brain without its skull, is in none."""

LUNG_FDG = {"test": 0, "validation": 1}
"""Of every five patients of lesion_maps/lung_fdg in alphabetical order, the first is for test, the second for
validation and the others for training; QIN-HEADNECK's one study is for training."""

ATLASES = {"training": ("mesh50xcat", "HN-Atlas"), "validation": (), "test": ("abdominal_atlas",)}

ABDOMINAL_ATLAS_SPACING_MM = (1.18, 1.18, 3.2)
"""The file's 0.94 × 1.5 mm would make vertebrae 17 mm apart and kidneys of 47 mL. So that L1 to L5 are 36 mm each and
the kidneys 160 mL."""

MESH50XCAT_NAMES = dict(enumerate(("body", "air", "brain", "bronchi", "liver", "lungs", "skeleton"), start=1))


def find_label_maps(folder: str | Path, section: str) -> list[LabelMap]:
    """The label maps of a section that lie in a folder laid out as follows; what is not there is left out.

    labels/<subject>_*labels.nii.gz with label_names.json, labels/totalsegmentator/ with label_ids.json,
    labels/openkbp/pt_<n>_labels.nii.gz and _ct.nii.gz, labels/mesh50xcat*.nii.gz, labels/HN-Atlas-labels.nrrd with its
    .ctbl, labels/abdominal_atlas_labels.nrrd with abdominal_atlas_label_names.json.

    Raises:
        ValueError: an unknown section.
        FileNotFoundError: none of the section's maps is there.
    """
    if section not in SECTIONS:
        raise ValueError(f"section must be one of {', '.join(SECTIONS)}, got {section!r}")
    labels = Path(folder).resolve() / "labels"
    maps: list[LabelMap] = []
    for subject in TOTALSEGMENTATOR[section]:
        for path in sorted([*labels.glob(f"{subject}_*.nii.gz"), *labels.glob(f"totalsegmentator/{subject}_*.nii.gz")]):
            maps.append(LabelMap(str(path), _total_names(path)))
    for number in OPENKBP[section]:
        path, ct = (labels / "openkbp" / f"pt_{number}_{kind}.nii.gz" for kind in ("labels", "ct"))
        if path.is_file() and ct.is_file():
            maps.append(LabelMap(str(path), {}, ct=str(ct)))
    for atlas in ATLASES[section]:
        if atlas == "mesh50xcat":
            maps += [LabelMap(str(path), MESH50XCAT_NAMES) for path in sorted(labels.glob("mesh50xcat*.nii.gz"))]
        elif atlas == "HN-Atlas" and (path := labels / "HN-Atlas-labels.nrrd").is_file():
            maps.append(LabelMap(str(path), read_color_table(labels / "HN-Atlas-labels.ctbl")))
        elif atlas == "abdominal_atlas" and (path := labels / "abdominal_atlas_labels.nrrd").is_file():
            names = _json_names(labels / "abdominal_atlas_label_names.json")
            maps.append(LabelMap(str(path), names, spacing_mm=ABDOMINAL_ATLAS_SPACING_MM))
    if not maps:
        raise FileNotFoundError(f"{labels} holds none of the {section} section's label maps")
    for one in maps:
        tissues_of(one.names)
    return maps


def find_lesion_maps(folder: str | Path, section: str) -> list[LesionMap]:
    """The maps of real lesions of a section: lesion_maps/lung_fdg/*.nii.gz and lesion_maps/qin_headneck/tumor.nrrd.

    Two scans of one patient are in one section.

    Raises:
        ValueError: an unknown section.
    """
    if section not in SECTIONS:
        raise ValueError(f"section must be one of {', '.join(SECTIONS)}, got {section!r}")
    folder = Path(folder).resolve() / "lesion_maps"
    files = sorted((folder / "lung_fdg").glob("*.nii.gz"))
    patients = sorted({_patient(path) for path in files})
    maps = []
    for path in files:
        turn = patients.index(_patient(path)) % 5
        if section == next((name for name, own in LUNG_FDG.items() if own == turn), "training"):
            maps.append(LesionMap(str(path), (2, 3), lung=1))
    tumour = folder / "qin_headneck" / "tumor.nrrd"
    if section == "training" and tumour.is_file():
        maps += [LesionMap(str(tumour), (1, 2))]
    return maps


def find_brain_pattern(folder: str | Path) -> str | None:
    """patterns/CN_PET_TEMPLATE.nii.gz, a mean over 116 brains and so of no section; None where it is not there."""
    path = Path(folder).resolve() / "patterns" / "CN_PET_TEMPLATE.nii.gz"
    return str(path) if path.is_file() else None


def _patient(path: Path) -> str:
    """The patient in a study's file name: all before the date and the number."""
    return path.name.removesuffix(".nii.gz").rsplit("_", 2)[0]


def read_color_table(path: str | Path) -> dict[int, str]:
    """Names by value, of a 3D Slicer colour table: lines of value, name, red, green, blue, alpha."""
    rows = [
        line.split()
        for line in Path(path).read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    return {int(row[0]): row[1] for row in rows}


def _total_names(path: Path) -> dict[int, str]:
    if path.parent.name == "totalsegmentator":
        ids = read_json(path.parent / "label_ids.json", "file of label names")
        return {int(value): name for name, value in ids.items()}
    return _json_names(path.parent / "label_names.json")


def _json_names(path: Path) -> dict[int, str]:
    names: dict[str, Any] = read_json(path, "file of label names")
    return {int(value): str(name) for value, name in names.items()}
