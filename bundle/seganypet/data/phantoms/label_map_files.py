"""Organ label maps on disk: where they lie, what their values are called, how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from seganypet.data.json_file import read_json
from seganypet.data.phantoms.head_neck_maps import HEAD_NECK_NAMES, head_neck_map
from seganypet.data.phantoms.label_map_names import tissues_of


@dataclass(frozen=True)
class LabelMap:
    """One organ label map to build phantoms on.

    Args:
        path: NIfTI or NRRD of integers.
        names: name of each value, as `tissues_of` knows them; none with `ct`.
        ct: CT (0 to 4095, HU + 1000) on the map's grid: `path` then holds OpenKBP's labels, and bone, airway, fat and
            brain come from the CT.
        spacing_mm: voxel size, where the file's own is wrong.
    """

    path: str
    names: Mapping[int, str]
    ct: str | None = None
    spacing_mm: tuple[float, float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The map as JSON holds it: values as text."""
        names = {str(value): str(name) for value, name in self.names.items()}
        spacing = None if self.spacing_mm is None else list(self.spacing_mm)
        return {"path": str(self.path), "names": names, "ct": self.ct, "spacing_mm": spacing}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> LabelMap:
        """The map that `to_json` was called on."""
        spacing = values["spacing_mm"]
        names = {int(value): name for value, name in values["names"].items()}
        return cls(values["path"], names, values["ct"], None if spacing is None else tuple(spacing))


def read_label_map(which: LabelMap) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """A map's values, its voxel size, and what the values mean.

    Returns:
        [i, j, k] integers, axes towards right, front and head; mm [3]; name of each value.

    Raises:
        FileNotFoundError: a file that is not there.
        ValueError: a CT on another grid than its labels.
    """
    values, spacing = read_volume(which.path)
    if which.spacing_mm is not None:
        spacing = np.asarray(which.spacing_mm, dtype=float)
    if which.ct is None:
        return values, spacing, dict(which.names)
    ct, _ = read_volume(which.ct)
    if ct.shape != values.shape:
        raise ValueError(f"CT {which.ct} has shape {ct.shape}, its labels {which.path} {values.shape}")
    return head_neck_map(values, ct, spacing), spacing, dict(HEAD_NECK_NAMES)


def read_volume(path: str) -> tuple[np.ndarray, np.ndarray]:
    """A NIfTI's or NRRD's values [i, j, k], axes towards right, front and head, and its voxel size in mm.

    Raises:
        FileNotFoundError: no file at `path`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file at {path}")
    if Path(path).name.endswith(".nrrd"):
        scan = sitk.ReadImage(path)
        turn = np.reshape(scan.GetDirection(), (3, 3)) * np.array([[-1], [-1], [1]])  # LPS to RAS
        image: Any = nib.Nifti1Image(
            sitk.GetArrayFromImage(scan).T.astype(np.int32),
            nib.affines.from_matvec(turn * np.array(scan.GetSpacing()), np.zeros(3)),
        )
    else:
        image = nib.load(path)
    image = nib.as_closest_canonical(image)
    spacing = np.linalg.norm(image.affine[:3, :3], axis=0)  # a tilt is dropped: the anatomy stays a patient's
    return np.asarray(image.dataobj), spacing


def read_label_maps(path: str | Path) -> list[LabelMap]:
    """Label maps and the names of their values, from a JSON file.

    {"a.nii.gz": {"1": "spleen", ...}, "b.nii.gz": "names.json"}: paths relative to the file, names given there or in
    another JSON file.

    Raises:
        FileNotFoundError: a file that is not there.
        ValueError: names that are no object of numbers and names, or that mean no tissue.
    """
    path = Path(path)
    maps = []
    listed = read_json(path, "file of label maps")
    if not isinstance(listed, dict):
        raise ValueError(f"{path} must be an object like {{'map.nii.gz': {{'1': 'spleen'}}}}")
    for name, names in listed.items():
        labels = (path.parent / name).resolve()
        if not labels.is_file():
            raise FileNotFoundError(f"{path} names a label map that is not there: {labels}")
        if isinstance(names, str):
            names = read_json(path.parent / names, "file of label names")
        if not isinstance(names, dict) or not all(str(value).isdigit() for value in names):
            raise ValueError(f"{path}: the names of {name} must be an object like {{'1': 'spleen'}}")
        maps.append(LabelMap(str(labels), {int(value): str(tissue) for value, tissue in names.items()}))
        tissues_of(maps[-1].names)
    return maps
