"""Windows cut out of a study at a rung's spacing, deformed as one with the targets in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seganypet.data.preprocessing import sample_block
from seganypet.data.studies import WorkingStudy

NOISE_CELLS = 2  # voxels over which augmentation's noise is correlated


@dataclass(frozen=True)
class Deformation:
    """What augmentation does to a window.

    Args:
        matrix: [3, 3], window offset from the centre → study offset, both in the rung's voxels.
        gain: factor on the uptake.
        noise: [N, N, N] standard normal numbers on a lattice half as fine as the window.
        noise_share: standard deviation of the noise, relative to the uptake.
    """

    matrix: np.ndarray
    gain: float
    noise: Tensor
    noise_share: float


def draw_deformation(random: np.random.Generator, size: int, permuted_share: float = 0.0) -> Deformation:
    """Flips, rotation, scale, uptake and noise for a window of `size` voxels; its axes permuted in a share of cases."""
    noise = draw_noise(random, size)
    matrix = random_affine(random)
    if permuted_share and random.random() < permuted_share:
        matrix = matrix[:, random.permutation(3)]
    return Deformation(matrix, float(np.exp(random.normal(0, 0.2))), noise, float(random.uniform(0, 0.12)))


def draw_noise(random: np.random.Generator, size: int) -> Tensor:
    """[N, N, N] for a window of `size` voxels, see `Deformation`."""
    return torch.from_numpy(random.standard_normal((size // NOISE_CELLS,) * 3, dtype=np.float32))


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


class WindowCut:
    """One window's place in a study.

    Args:
        study: what is cut from.
        centre: [3] voxel of the study that comes to lie at the window's voxel `at`.
        at: [3] window voxel, fractional.
        spacing_mm: of the window's voxels.
        size: voxels per axis.
        deformation: what the window is deformed by, around `at`; None cuts it straight.
        flipped: axes that a straight window is flipped along.
    """

    def __init__(
        self,
        study: WorkingStudy,
        centre: np.ndarray,
        at: np.ndarray,
        *,
        spacing_mm: float,
        size: int,
        deformation: Deformation | None = None,
        flipped: Sequence[int] = (),
    ) -> None:
        self.study, self.size, self.deformation, self.flipped = study, size, deformation, list(flipped)
        self.step = np.array([spacing_mm / mm for mm in study.spacing_mm])
        self.side, self._grid = size, None
        self.centre, self.at = np.asarray(centre, dtype=float), np.asarray(at, dtype=float)
        first = self.at
        if deformation is not None:
            matrix = torch.from_numpy(deformation.matrix.T.copy()).float()
            reach = int(np.ceil(np.abs(deformation.matrix).sum(1).max() * (size / 2 + 1))) + 1
            self.side = 2 * reach + 1
            steps = [torch.arange(size, dtype=torch.float32) - float(p) for p in at]
            places = (
                torch.stack(torch.meshgrid(*steps, indexing="ij"), -1) @ matrix + reach
            )  # [S, S, S, 3] in the block
            self._grid = ((places + 0.5) / self.side * 2 - 1).flip(-1)[None]
            first = np.full(3, float(reach))
        self.start = self.centre - first * self.step  # study voxel of the block's first sample

    def close_up(self, voxel: np.ndarray, spacing_mm: float, size: int, noise: Tensor | None) -> WindowCut:
        """A window of another spacing that shows a part of this one, deformed alike.

        Args:
            voxel: [3] of this window, fractional, which comes to lie in the middle of the other.
            spacing_mm, size: of the other.
            noise: of its own deformation, as in `Deformation`; None where this one is cut straight.
        """
        flipped = np.isin(np.arange(3), self.flipped)
        offset = np.where(flipped, self.size - 1 - voxel, voxel) - self.at
        deformation = self.deformation
        if deformation is not None and noise is not None:
            offset, deformation = deformation.matrix @ offset, replace(deformation, noise=noise)
        return WindowCut(
            self.study,
            self.centre + offset * self.step,
            np.full(3, (size - 1) / 2),
            spacing_mm=spacing_mm,
            size=size,
            deformation=deformation,
            flipped=self.flipped,
        )

    def uptake(self) -> Tensor:
        """[S, S, S] float32."""
        if self.deformation is None:
            return self._block(self.study.uptake).flip(self.flipped)
        uptake = self._deformed(self._block(self.study.uptake)[None])[0] * self.deformation.gain
        noise = self.deformation.noise[None, None]
        noise = F.interpolate(noise, size=(self.size,) * 3, mode="trilinear", align_corners=False)[0, 0]
        return uptake * (1 + self.deformation.noise_share * noise)

    def masks(self, indices: Sequence[int]) -> Tensor:
        """[T, S, S, S] bool: where a target's share of a voxel, linearly, is one half or more.

        A nearest-neighbour map would move the border of a small lesion by up to half a voxel.
        """
        shares = torch.stack([self._block(self.study.target_map, index) for index in indices])
        return (
            shares.flip([axis + 1 for axis in self.flipped]) if self._grid is None else self._deformed(shares)
        ) >= 0.5

    def targets_near(self) -> dict[int, int]:
        """Target indices in the undeformed window and how many of its voxels they fill, about."""
        middle = self.start + self.step * (self.side - self.size) / 2
        places = [
            torch.from_numpy((first + step * np.arange(self.size)).round()).long()
            for first, step in zip(middle, self.step, strict=True)
        ]
        kept = [p[(p >= 0) & (p < n)] for p, n in zip(places, self.study.target_map.shape, strict=True)]
        if any(len(p) == 0 for p in kept):
            return {}
        low = [int(p[0]) for p in kept]
        box = tuple(slice(int(p[0]), int(p[-1]) + 1) for p in kept)
        values = self.study.target_map[box]
        for axis, (p, first) in enumerate(zip(kept, low, strict=True)):
            values = values.index_select(axis, p - first)
        counts = torch.bincount(values.flatten().long())
        return {index: int(count) for index, count in enumerate(counts.tolist()) if index and count}

    def _block(self, voxels: Tensor, index: int | None = None) -> Tensor:
        """[side, side, side] of a study's array around the window; of a map, the share of one index."""
        low = np.floor(np.minimum(self.start, self.start + self.step * self.side) - self.step - 1).astype(int)
        high = np.ceil(self.start + self.step * self.side + 1).astype(int) + 1
        box = tuple(slice(max(0, a), max(0, b)) for a, b in zip(low, high, strict=True))
        part = voxels[box]
        if part.numel() == 0:
            return torch.zeros((self.side,) * 3)
        begin = self.start - [side.start for side in box]
        return sample_block(part if index is None else (part == index), begin.tolist(), self.step.tolist(), self.side)

    def _deformed(self, blocks: Tensor) -> Tensor:
        """[C, side, side, side] → [C, S, S, S]."""
        assert self._grid is not None
        return F.grid_sample(blocks[None], self._grid, align_corners=False)[0]
