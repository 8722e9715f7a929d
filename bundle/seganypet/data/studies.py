"""A labelled study, ready to cut training windows from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.transforms.transform import Transform
from torch import Tensor

from seganypet.data.data_list import Entry
from seganypet.data.preprocessing import working_image
from seganypet.data.targets import Target, is_lesion, resample_labels, split_targets
from seganypet.networks.settings import NetworkSettings
from seganypet.pet import read_pet


@dataclass(frozen=True)
class WorkingStudy:
    """One entry of a data list on the working grid.

    Args:
        name: the image's path as the list gives it.
        uptake: [x, y, z] float16 SUV.
        target_map: [x, y, z] int16 target indices, 0 background.
        targets: what the indices mean; never empty.
        high_quality: whether an expert checked the labels.
    """

    name: str
    uptake: Tensor
    target_map: Tensor
    targets: tuple[Target, ...]
    high_quality: bool

    def to_dict(self) -> dict[str, Any]:
        """The study as tensors, numbers and text, which torch.load opens without trusting the file."""
        targets = [{**vars(target), "box": [(side.start, side.stop) for side in target.box]} for target in self.targets]
        return {**vars(self), "targets": targets}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> WorkingStudy:
        """The study that `to_dict` was called on."""
        targets = [
            Target(**{**target, "box": tuple(slice(*ends) for ends in target["box"])}) for target in values["targets"]
        ]
        return cls(**{**values, "targets": tuple(targets)})


class LoadStudy(Transform):
    """Reads an entry of a data list: PET to the working grid, label map to targets.

    Whoever changes what this makes of the same files raises `VERSION` in kept_studies.py.

    Args:
        settings: of the weights that will be trained.
        leave_out: label names that are no targets, tissue that nobody clicks on, for example.
        only_lesions: take lesion labels alone.

    Raises:
        ValueError: image and label of different geometry, or a label map without any named target.
    """

    def __init__(
        self, settings: NetworkSettings, leave_out: Collection[str] = (), *, only_lesions: bool = False
    ) -> None:
        self.settings = settings
        self.only_lesions = only_lesions
        self.leave_out = frozenset(leave_out)

    def __call__(self, entry: Entry) -> WorkingStudy:
        volume = read_pet(entry.image)
        label_image: Any = nib.load(entry.label)
        labels = np.asarray(label_image.dataobj)
        if labels.shape != volume.shape:
            raise ValueError(f"label {entry.label} has shape {labels.shape}, its image {entry.image} {volume.shape}")
        if not np.allclose(label_image.affine, volume.affine, atol=1e-2):
            raise ValueError(f"label {entry.label} lies elsewhere in space than its image {entry.image}")
        image = working_image(volume, self.settings)
        names = {value: name for value, name in entry.label_names.items() if self._is_target(name)}
        target_map, targets = split_targets(resample_labels(labels, image.grid, sorted(names)), names)
        if not targets:
            raise ValueError(f"label {entry.label} holds none of its named labels {names}")
        return WorkingStudy(
            name=str(entry.image),
            uptake=image.voxels.to(torch.float16),
            target_map=target_map,
            targets=tuple(targets),
            high_quality=entry.quality == "high",
        )

    def _is_target(self, name: str) -> bool:
        return name not in self.leave_out and (is_lesion(name) or not self.only_lesions)
