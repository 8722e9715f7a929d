"""A labelled study, ready to cut training windows from."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import Transform
from torch import Tensor

from seganypet.data.data_list import Entry
from seganypet.data.label_reading import read_label_map
from seganypet.data.preprocessing import WorkingGrid, estimate_suv_factor
from seganypet.data.targets import Target, is_lesion, names_of, split_targets
from seganypet.networks.settings import NetworkSettings
from seganypet.pet import read_pet

logger = logging.getLogger(__name__)
HIGHEST_SUV = 1e4  # an injection site may be hotter than float16 holds


@dataclass(frozen=True)
class WorkingStudy:
    """One entry of a data list on its own grid, turned to the working axes; windows are resampled from it.

    Args:
        name: the image's path as the list gives it.
        uptake: [x, y, z] float16 SUV, or near it by an estimate where SUV is unknown.
        target_map: [x, y, z] int16 target indices, 0 background.
        spacing_mm: distance between voxels along x, y and z.
        targets: what the indices mean; never empty.
        high_quality: whether an expert checked the labels.
    """

    name: str
    uptake: Tensor
    target_map: Tensor
    spacing_mm: tuple[float, float, float]
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
        return cls(**{**values, "targets": tuple(targets), "spacing_mm": tuple(values["spacing_mm"])})


class LoadStudy(Transform):
    """Reads an entry of a data list: PET turned to the working axes, label map to targets.

    Whoever changes what this makes of the same files raises `VERSION` in kept_studies.py.

    Args:
        settings: of the weights that will be trained.
        leave_out: label names that are no targets, tissue that nobody clicks on, for example.
        only_lesions: take lesion labels alone.

    Raises:
        ValueError: a label map that cannot be used, see `read_label_map`, or one without any named target.
    """

    def __init__(
        self, settings: NetworkSettings, leave_out: Collection[str] = (), *, only_lesions: bool = False
    ) -> None:
        self.settings = settings
        self.only_lesions = only_lesions
        self.leave_out = names_of(leave_out)

    def __call__(self, entry: Entry) -> WorkingStudy:
        volume = read_pet(entry.image)
        labels = read_label_map(entry.label, volume).voxels
        grid = WorkingGrid(volume.shape, np.asarray(volume.affine, dtype=float), self.settings.spacing_mm)
        uptake = grid.turn(volume.voxels)
        if not volume.suv_known:  # float16 holds no Bq/mL; z-scores do not see the factor
            assert volume.suv_provenance is not None
            logger.warning(
                "%s has no SUV, and is trained on by an estimate: %s", entry.image, volume.suv_provenance.reason
            )
            uptake = uptake * estimate_suv_factor(uptake)
        names = self.names(entry)
        target_map, targets = split_targets(grid.turn(labels.astype(np.int32)), names)
        if not targets:
            raise ValueError(f"label {entry.label} holds none of its named labels {names}")
        return WorkingStudy(
            name=str(entry.image),
            uptake=uptake.clamp_max(HIGHEST_SUV).to(torch.float16),
            target_map=target_map,
            spacing_mm=(grid.source_spacing_mm[0], grid.source_spacing_mm[1], grid.source_spacing_mm[2]),
            targets=tuple(targets),
            high_quality=entry.quality == "high",
        )

    def names(self, entry: Entry) -> dict[int, str]:
        """The label values of an entry that are targets, with their names."""
        return {value: name for value, name in entry.label_names.items() if self._is_target(name)}

    def _is_target(self, name: str) -> bool:
        return name not in self.leave_out and (is_lesion(name) or not self.only_lesions)
