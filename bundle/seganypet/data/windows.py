"""Training windows: where they lie, how they are deformed, which targets they train. Pure in (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from seganypet.data.preprocessing import normalise_window
from seganypet.data.studies import WorkingStudy
from seganypet.data.targets import Target
from seganypet.networks.settings import NetworkSettings

FEWEST_VOXELS = 4  # of a target inside a window for it to be trained there


class WindowDataset(Dataset):
    """Windows of working studies with the targets to click in them.

    A window is placed around a random voxel of a random target: anywhere within the middle half for weights whose
    windows stand on a grid of 50 % overlap, around the target's middle for weights that centre it on the first click.

    Args:
        studies: from `LoadStudy`.
        settings: of the weights to train.
        window_size: voxels per axis.
        targets_per_window: how many targets share one encoding; a target is repeated (and clicked elsewhere) where the
            window holds fewer.
        windows_per_study: windows of each study in an epoch.
        lesion_share: how often the window is placed for a lesion, in a study that has lesions and organs.
        augment: random flips, rotation, scale, uptake and noise; off for validation.
        flips_only: augment by flips along the three axes alone, as the papers do.
        seed: everything random follows from (seed, epoch, index).

    Raises:
        ValueError: no studies.
    """

    def __init__(
        self,
        studies: Sequence[WorkingStudy],
        settings: NetworkSettings,
        *,
        window_size: int,
        targets_per_window: int = 3,
        windows_per_study: int = 4,
        lesion_share: float = 0.5,
        augment: bool = True,
        flips_only: bool = False,
        seed: int = 0,
    ) -> None:
        if len(studies) == 0:
            raise ValueError("no studies to cut windows from: the data list's section is empty")
        self.studies = studies
        self.settings = settings
        self.window_size = window_size
        self.targets_per_window = targets_per_window
        self.windows_per_study = windows_per_study
        self.lesion_share = lesion_share
        self.augment = augment
        self.flips_only = flips_only
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next windows belong to; the same epoch gives the same windows."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.studies) * self.windows_per_study

    @cached_property
    def high_quality(self) -> np.ndarray:
        """[len(self)] bool, whether each window's labels were checked by an expert."""
        return np.tile([study.high_quality for study in self.studies], self.windows_per_study)

    def __getitem__(self, index: int) -> dict[str, Tensor | str]:
        """One window.

        Returns:
            image [1, S, S, S] float32, normalised; targets [T, S, S, S] bool; high_quality, a bool; seed, an int64 that
            clicks on this window are drawn from; name.
        """
        random = np.random.default_rng([self.seed, self.epoch if self.augment else 0, index])
        study = self.studies[index % len(self.studies)]
        anchor = self._choose_anchor(study, random)
        centre = self._place_window(study, anchor, random)
        uptake, target_map = self._cut(study, centre, random)
        indices = self._choose_targets(study, anchor, target_map, random)
        return {
            "image": normalise_window(uptake, self.settings)[None],
            "targets": torch.stack([target_map == target for target in indices]),
            "high_quality": torch.tensor(study.high_quality),
            "seed": torch.tensor(int(random.integers(2**62))),
            "name": study.name,
        }

    def _choose_anchor(self, study: WorkingStudy, random: np.random.Generator) -> Target:
        lesions = [target for target in study.targets if target.lesion]
        organs = [target for target in study.targets if not target.lesion]
        wants_lesion = random.random() < self.lesion_share
        pool = lesions if lesions and (wants_lesion or not organs) else organs
        return pool[random.integers(len(pool))]

    def _place_window(self, study: WorkingStudy, anchor: Target, random: np.random.Generator) -> np.ndarray:
        """[3] working index of the window's middle."""
        start = np.array([axis.start for axis in anchor.box])
        inside = np.argwhere((study.target_map[anchor.box] == anchor.index).numpy())
        quarter = self.window_size / 4
        if self.settings.placement == "grid":
            return start + inside[random.integers(len(inside))] + random.uniform(-quarter, quarter, 3)
        return start + np.median(inside, 0) + random.uniform(-quarter / 4, quarter / 4, 3)

    def _cut(self, study: WorkingStudy, centre: np.ndarray, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Uptake [S, S, S] float32 and target indices [S, S, S] around `centre`, deformed when augmenting."""
        size = self.window_size
        if not self.augment or self.flips_only:
            origin = np.floor(centre - (size - 1) / 2).astype(int)
            flipped = np.flatnonzero(random.integers(2, size=3)).tolist() if self.augment else []
            uptake, target_map = crop(study.uptake, origin, size), crop(study.target_map, origin, size)
            return uptake.float().flip(flipped), target_map.flip(flipped)
        matrix = random_affine(random)
        reach = int(np.ceil(np.abs(matrix).sum(1).max() * size / 2)) + 2
        origin = np.floor(centre).astype(int) - reach
        side = 2 * reach + 1
        steps = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        offsets = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1)  # [S, S, S, 3]
        places = offsets @ torch.from_numpy(matrix.T).float() + torch.from_numpy(centre - origin).float()
        grid = ((places + 0.5) / side * 2 - 1).flip(-1)[None]
        block = crop(study.uptake, origin, side).float()[None, None]
        uptake = F.grid_sample(block, grid, align_corners=False)[0, 0]
        labels = crop(study.target_map, origin, side).float()[None, None]
        target_map = F.grid_sample(labels, grid, mode="nearest", align_corners=False)[0, 0].to(torch.int16)
        uptake = uptake * float(np.exp(random.normal(0, 0.2)))
        noise = torch.from_numpy(random.standard_normal((size // 2,) * 3, dtype=np.float32))[None, None]
        noise = F.interpolate(noise, scale_factor=2, mode="trilinear", align_corners=False)[0, 0]
        return uptake * (1 + float(random.uniform(0, 0.12)) * noise), target_map

    def _choose_targets(
        self, study: WorkingStudy, anchor: Target, target_map: Tensor, random: np.random.Generator
    ) -> list[int]:
        counts = torch.bincount(target_map.flatten().long(), minlength=len(study.targets) + 1)
        here = [target for target in study.targets if counts[target.index] >= FEWEST_VOXELS and target != anchor]
        chosen = [anchor.index] if counts[anchor.index] >= FEWEST_VOXELS else []
        if here:
            weights = np.array([2.0 if target.lesion else 1.0 for target in here])
            count = min(len(here), self.targets_per_window - len(chosen))
            picks = random.choice(len(here), size=count, replace=False, p=weights / weights.sum())
            chosen += [here[pick].index for pick in picks]
        if not chosen:
            chosen = [anchor.index]
        return [chosen[n % len(chosen)] for n in range(self.targets_per_window)]


def crop(volume: Tensor, origin: np.ndarray, size: int) -> Tensor:
    """[size, size, size] from `origin`, zero where it reaches beyond the volume."""
    result = volume.new_zeros((size, size, size))
    source, destination = [], []
    for start, length in zip(origin.tolist(), volume.shape, strict=True):
        low, high = max(start, 0), min(start + size, length)
        if low >= high:
            return result
        source.append(slice(low, high))
        destination.append(slice(low - start, high - start))
    result[tuple(destination)] = volume[tuple(source)]
    return result


def random_affine(random: np.random.Generator) -> np.ndarray:
    """[3, 3] flips, a rotation by up to 20° about each axis, a scale of 0.8 to 1.25 and of ±8 % an axis."""
    matrix = np.diag(random.choice([-1.0, 1.0], 3) * np.exp(random.uniform(-0.08, 0.08, 3)))
    matrix *= np.exp(random.uniform(np.log(0.8), np.log(1.25)))
    for axis in range(3):
        angle = np.deg2rad(random.uniform(-20, 20))
        rotation = np.eye(3)
        a, b = [n for n in range(3) if n != axis]
        rotation[a, a] = rotation[b, b] = np.cos(angle)
        rotation[a, b], rotation[b, a] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ rotation
    return matrix
