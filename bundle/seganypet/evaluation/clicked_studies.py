"""Datasets for the bundle's evaluators: studies with clicks to answer, and labelled targets to click on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor
from torch.utils.data import Dataset

from seganypet.data.data_list import Entry, read_data_list
from seganypet.data.label_reading import LabelMap, on_grid_of, read_label_map
from seganypet.data.preprocessing import estimate_suv_factor
from seganypet.data.targets import Part, names_of, parts_of
from seganypet.evaluation.study_requests import read_study_requests
from seganypet.pet import PetVolume, read_pet


class ClickedStudies(Dataset):
    """The studies of a data list whose entries carry clicks, one item a label.

    Args:
        data_list: JSON, see `read_study_requests`.

    Raises:
        FileNotFoundError: no such list.
        ValueError: not such a list, or entries that cannot be used, which are named.
    """

    def __init__(self, data_list: str | Path) -> None:
        requests, problems = read_study_requests(data_list)
        problems += [f"no image {one.image}" for one in requests if not one.image.exists()]
        if problems:
            raise ValueError(f"{len(problems)} problem(s):\n  " + "\n  ".join(problems))
        self.items = [(one.image, label, clicks) for one in requests for label, clicks in one.targets.items()]
        self._reader = _Reader()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """image [1, I, J, K] with its affine, clicks in order, name (the image's path), label_name, volume."""
        path, label, clicks = self.items[index]
        volume = self._reader.read(path)
        return {
            "image": as_tensor(volume),
            "clicks": clicks,
            "name": str(path),
            "label_name": label,
            "volume": volume,
        }


class LabelledTargets(Dataset):
    """The targets of a section of some data lists, one item each: an organ, or one component of a lesion label.

    They are those of `evaluate_study`, and of scripts/evaluate.py.

    Args:
        data_lists: JSON files.
        section: "training", "validation" or "test".
        leave_out: label names that are no targets.
        smallest_ml: lesions below that are left out.

    Raises:
        FileNotFoundError, ValueError: as `read_data_list`; or no target at all.
    """

    def __init__(
        self,
        data_lists: Sequence[str | Path],
        section: str,
        *,
        leave_out: Collection[str] = (),
        smallest_ml: float = 0.0,
    ) -> None:
        self.items: list[tuple[Entry, int]] = []  # entry, place among its label's parts
        self._leave_out = names_of(leave_out)
        self._reader = _Reader()
        for entry in (entry for path in data_lists for entry in read_data_list(path)[section]):
            label = read_label_map(entry.label)
            voxel_ml = float(abs(np.linalg.det(label.affine[:3, :3]))) / 1000
            self.items += [
                (entry, place)
                for place, part in enumerate(self._parts(entry, label))
                if not part.lesion or part.mask.sum() * voxel_ml >= smallest_ml
            ]
        if not self.items:
            raise ValueError(f"no {section} targets in {', '.join(map(str, data_lists))}")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """image [1, I, J, K] with its affine, target [1, I, J, K] bool, name, label_name, lesion, volume.

        Raises:
            ValueError: a label map that cannot be used.
        """
        entry, place = self.items[index]
        volume = self._reader.read(entry.image)
        label = read_label_map(entry.label)
        # parts are counted on the label's own grid, as in __init__: in other axes they come in another order
        part = next(islice(self._parts(entry, label), place, None))
        mask = part.whole(label.voxels.shape).astype(np.int16)
        target = on_grid_of(replace(label, voxels=mask), volume, Path(entry.label)).voxels > 0
        return {
            "image": as_tensor(volume),
            "target": torch.from_numpy(target)[None],
            "name": str(entry.image),
            "label_name": part.name,
            "lesion": part.lesion,
            "volume": volume,
        }

    def _parts(self, entry: Entry, label: LabelMap) -> Iterator[Part]:
        names = {value: name for value, name in entry.label_names.items() if name not in self._leave_out}
        return parts_of(label.voxels, names)


class _Reader:
    """Reads studies; items of one study follow each other, so the last one is kept."""

    def __init__(self) -> None:
        self._last: tuple[Path, PetVolume] | None = None

    def read(self, path: Path) -> PetVolume:
        if self._last is None or self._last[0] != path:
            self._last = (path, read_pet(path))
        return self._last[1]


def as_tensor(volume: PetVolume) -> MetaTensor:
    """A volume as MONAI's engines take it, [1, I, J, K]: SUV, or near it by an estimate where SUV is unknown."""
    voxels = torch.from_numpy(np.array(volume.voxels))
    if not volume.suv_known:
        voxels = voxels * estimate_suv_factor(voxels)
    return MetaTensor(voxels[None], affine=torch.from_numpy(np.array(volume.affine)))


def collate_studies(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A batch of items on one grid: tensors are stacked (images keep the first's affine), the rest become lists."""
    return {
        key: torch.stack([item[key] for item in items])
        if isinstance(items[0][key], Tensor)
        else [item[key] for item in items]
        for key in items[0]
    }


def prepare_clicks(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, None, tuple[list[Any]], dict[str, Any]]:
    """A batch of `ClickedStudies` for an evaluator with a `ClickInferer`: nothing to compare with."""
    return batch["image"].to(device, non_blocking=non_blocking), None, (batch["clicks"],), {}


def prepare_targets(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, Tensor, tuple[Tensor], dict[str, Any]]:
    """A batch of `LabelledTargets` for an evaluator with a `ClickProtocolInferer`."""
    target = batch["target"]
    return batch["image"].to(device, non_blocking=non_blocking), target, (target,), {}
