"""The one preprocessing of training, validation and inference: a volume on the weights' working grid, and back.

The working grid has the weights' isotropic spacing, its axes are the volume's own axes reordered and flipped to the
closest right-anterior-superior order (an oblique volume is not rotated), and it is centred on the volume's extent, so
that a volume stored flipped gives the same working image to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import nibabel as nib
import numpy as np
import torch
from torch import Tensor

from seganypet.networks.settings import NetworkSettings
from seganypet.pet.plausibility import body_mean

MEAN_BODY_SUV = 0.9  # by definition near 1: the dose is spread over the body; a little leaves with the urine


@dataclass(frozen=True)
class WorkingGrid:
    """Where working voxels lie in a source volume; pure geometry.

    Args:
        source_shape: voxels of the source volume, (i, j, k).
        source_affine: 4×4, source voxel → RAS mm.
        spacing_mm: isotropic spacing of the working grid.
    """

    source_shape: tuple[int, int, int]
    source_affine: np.ndarray
    spacing_mm: float

    @cached_property
    def orientation(self) -> np.ndarray:
        """[3, 2]: for each source axis, its working axis and its sign there."""
        return nib.orientations.io_orientation(self.source_affine)

    @cached_property
    def source_axes(self) -> list[int]:
        """For each working axis, the source axis that runs along it."""
        return [int(axis) for axis in np.argsort(self.orientation[:, 0])]

    @cached_property
    def flipped(self) -> list[bool]:
        """For each working axis, whether its source axis runs against it."""
        return [bool(self.orientation[axis, 1] < 0) for axis in self.source_axes]

    @cached_property
    def source_spacing_mm(self) -> list[float]:
        """For each working axis, the spacing of its source axis."""
        spacing = np.linalg.norm(self.source_affine[:3, :3], axis=0)
        return [float(spacing[axis]) for axis in self.source_axes]

    @cached_property
    def source_length(self) -> list[int]:
        """For each working axis, the number of source voxels along it."""
        return [self.source_shape[axis] for axis in self.source_axes]

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        x, y, z = (
            max(1, int(np.ceil(n * mm / self.spacing_mm - 1e-6)))
            for n, mm in zip(self.source_length, self.source_spacing_mm, strict=True)
        )
        return (x, y, z)

    @cached_property
    def matrix(self) -> np.ndarray:
        """4×4, source voxel index → working voxel index."""
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1
        for axis, (source, flip, n, mm) in enumerate(
            zip(self.source_axes, self.flipped, self.source_length, self.source_spacing_mm, strict=True)
        ):
            scale = mm / self.spacing_mm * (-1 if flip else 1)
            matrix[axis, source] = scale
            matrix[axis, 3] = (self.shape[axis] - 1) / 2 - scale * (n - 1) / 2
        return matrix

    @cached_property
    def affine(self) -> np.ndarray:
        """4×4, working voxel → RAS mm."""
        return self.source_affine @ np.linalg.inv(self.matrix)

    def to_working(self, ijk: tuple[float, float, float]) -> tuple[float, float, float]:
        """The working voxel index of a source voxel index, both fractional."""
        x, y, z = (self.matrix @ np.array([*ijk, 1.0]))[:3]
        return (float(x), float(y), float(z))

    def from_centre_mm(self, ijk: tuple[float, float, float]) -> tuple[float, float, float]:
        """A source voxel index as mm along the working axes from the volume's centre: the same on every spacing."""
        x, y, z = ((p - (n - 1) / 2) * self.spacing_mm for p, n in zip(self.to_working(ijk), self.shape, strict=True))
        return (x, y, z)

    def to_source(self, point_mm: tuple[float, float, float]) -> tuple[float, float, float]:
        """The source voxel index of a point given by `from_centre_mm`, fractional."""
        i, j, k = (np.linalg.inv(self.matrix) @ np.array([*self.at_mm(point_mm), 1.0]))[:3]
        return (float(i), float(j), float(k))

    def at_mm(self, point_mm: tuple[float, float, float]) -> tuple[float, float, float]:
        """The working voxel index of a point given by `from_centre_mm`."""
        x, y, z = (p / self.spacing_mm + (n - 1) / 2 for p, n in zip(point_mm, self.shape, strict=True))
        return (x, y, z)

    def resample(self, source: np.ndarray | Tensor) -> Tensor:
        """A source array on the working grid.

        Linear; where the working grid is coarser, the kernel is widened to the working spacing so that nothing
        between two samples is lost. Beyond the outermost voxel centres the edge value holds.

        Args:
            source: [i, j, k].

        Returns:
            [x, y, z] float32.
        """
        voxels = self.turn(source).float()
        for axis in sorted(range(3), key=lambda axis: self.shape[axis] / self.source_length[axis]):
            if abs(self.spacing_mm / self.source_spacing_mm[axis] - 1) >= 1e-9:
                voxels = _apply_along(self.weights[axis], voxels, axis)
        return voxels.contiguous()

    def window(self, source: np.ndarray | Tensor, origin: Sequence[int], size: int) -> Tensor:
        """The part of `resample(source)` that a window holds, cut from the source: zero beyond the volume.

        Args:
            source: [i, j, k].
            origin: working index of the window's first voxel; may be negative.
            size: working voxels along each axis.

        Returns:
            [size, size, size] float32.
        """
        turned = np.asarray(source).transpose(self.source_axes)
        slabs, start, step = [], [], []
        for axis, first in enumerate(origin):
            scale, n = self.spacing_mm / self.source_spacing_mm[axis], self.source_length[axis]
            begin = (n - 1) / 2 + (first - (self.shape[axis] - 1) / 2) * scale
            reach = max(1.0, scale) + 1
            low = min(max(0, int(begin - reach)), n)
            high = max(low, min(n, int(np.ceil(begin + size * scale + reach))))
            flip = self.flipped[axis]
            slabs.append(slice(n - high, n - low) if flip else slice(low, high))
            start.append(begin - low)
            step.append(scale)
        part = np.flip(turned[tuple(slabs)], self._flipped_axes).copy()
        return sample_block(torch.from_numpy(part), start, step, size) if part.size else torch.zeros((size,) * 3)

    def turn(self, source: np.ndarray | Tensor) -> Tensor:
        """A source array [i, j, k] in the working grid's axis order and directions, not resampled.

        Turned first, so that the same sums are made in the same order however the volume was stored.
        """
        voxels = torch.from_numpy(np.array(source, order="C")) if isinstance(source, np.ndarray) else source
        return voxels.permute(self.source_axes).flip(self._flipped_axes).contiguous()

    @cached_property
    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """For each working axis, [n_working, n_source] weights of the turned source's voxels."""
        x, y, z = (
            linear_weights(
                self._source_positions(axis),
                self.source_length[axis],
                width=max(1.0, self.spacing_mm / self.source_spacing_mm[axis]),
            )
            for axis in range(3)
        )
        return x, y, z

    def logits_to_source(
        self, logits: Tensor, origin: tuple[int, int, int], stride: float
    ) -> tuple[tuple[slice, slice, slice], Tensor]:
        """A window's logits at the source voxels whose centres lie in the window, trilinearly.

        Args:
            logits: [L, L', L''], cells of `stride` working voxels.
            origin: working index of the window's first voxel; may be negative.
            stride: working voxels per cell and axis.

        Returns:
            The source index box, as slices (i, j, k), and the logits in it, [i, j, k]; an empty box where the window
            does not meet the volume.
        """
        slices: list[slice] = [slice(0, 0)] * 3
        values = logits.float()
        for axis in range(3):
            source, n = self.source_axes[axis], self.source_length[axis]
            working = self._working_positions(axis)
            inside = np.flatnonzero(
                (working >= origin[axis] - 0.5) & (working < origin[axis] + logits.shape[axis] * stride - 0.5)
            )
            if inside.size == 0:
                return (slice(0, 0), slice(0, 0), slice(0, 0)), logits.new_zeros((0, 0, 0))
            first, last = int(inside[0]), int(inside[-1])
            slices[source] = slice(n - 1 - last, n - first) if self.flipped[axis] else slice(first, last + 1)
            cells = (working[inside] - origin[axis] + 0.5) / stride - 0.5
            weights = linear_weights(torch.from_numpy(cells), logits.shape[axis]).to(values.device)
            values = _apply_along(weights, values, axis)
        order = [int(axis) for axis in self.orientation[:, 0]]
        return (slices[0], slices[1], slices[2]), values.flip(self._flipped_axes).permute(order)

    @property
    def _flipped_axes(self) -> list[int]:
        return [axis for axis, flipped in enumerate(self.flipped) if flipped]

    def _working_positions(self, axis: int) -> np.ndarray:
        """[n_source] working positions of the source voxels, in the working axis's direction."""
        scale, n = self.source_spacing_mm[axis] / self.spacing_mm, self.source_length[axis]
        return (self.shape[axis] - 1) / 2 + scale * (np.arange(n) - (n - 1) / 2)

    def _source_positions(self, axis: int) -> Tensor:
        """[n_working] float64 source positions of the working voxels, likewise, inside the outermost centres."""
        scale, n = self.source_spacing_mm[axis] / self.spacing_mm, self.source_length[axis]
        positions = (n - 1) / 2 + (np.arange(self.shape[axis]) - (self.shape[axis] - 1) / 2) / scale
        return torch.from_numpy(positions.clip(0, n - 1))


def sample_block(voxels: Tensor, start: Sequence[float], step: Sequence[float], size: int) -> Tensor:
    """A cube of samples of a volume, linear as `WorkingGrid.resample` is, without resampling the rest.

    Args:
        voxels: [x, y, z], turned to the working axes, any number type.
        start: voxel index of the first sample along each axis, fractional; may lie outside.
        step: voxels from one sample to the next along each axis; above 1 the kernel is widened to it.
        size: samples along each axis.

    Returns:
        [size, size, size] float32; 0 where a sample lies outside the volume, whose outer voxels reach half a voxel
        beyond their centres.
    """
    rows, slabs = [], []
    for first, stride, length in zip(start, step, voxels.shape, strict=True):
        positions = first + stride * torch.arange(size, dtype=torch.float64)
        inside = (positions >= -0.5) & (positions < length - 0.5)
        if not inside.any():
            return torch.zeros((size, size, size), device=voxels.device)
        held, width = positions[inside].clamp(0, length - 1), max(1.0, stride)
        low = max(0, int(torch.floor(held[0] - width)))
        high = min(length, int(torch.ceil(held[-1] + width)) + 1)
        weights = linear_weights(positions - low, high - low, width=width) * inside[:, None]
        rows.append(weights.to(voxels.device))
        slabs.append(slice(low, high))
    block = voxels[tuple(slabs)].float()
    for axis in sorted(range(3), key=lambda axis: size / block.shape[axis]):
        block = _apply_along(rows[axis], block, axis)
    return block.contiguous()


def linear_weights(positions: Tensor, length: int, *, width: float = 1.0) -> Tensor:
    """[len(positions), length] float32 rows that interpolate linearly at fractional positions and sum to 1.

    Args:
        positions: fractional indices; clamped to [0, length − 1].
        width: half-width of the triangle kernel in samples; 1 is plain linear interpolation.
    """
    samples = torch.arange(length, dtype=torch.float64)
    distance = (positions.double().clamp(0, length - 1)[:, None] - samples).abs()
    weights = (1 - distance / width).clamp_min(0)
    return (weights / weights.sum(1, keepdim=True)).float()


def _apply_along(weights: Tensor, voxels: Tensor, axis: int) -> Tensor:
    """[m, n] weights applied to one axis of [x, y, z], which has n voxels."""
    if axis == 0:
        return (weights @ voxels.flatten(1)).unflatten(1, voxels.shape[1:])
    return weights @ voxels if axis == 1 else voxels @ weights.T


@dataclass(frozen=True)
class WorkingImage:
    """A volume's uptake on the working grid.

    Args:
        voxels: [x, y, z] float32, SUV; where the SUV is unknown and the weights need it, an estimate good enough to
            segment on, never to report.
        grid: where these voxels lie in the source volume.
        suv_factor: what the volume's voxels were multiplied by for that estimate; 1 where there was none.
    """

    voxels: Tensor
    grid: WorkingGrid
    suv_factor: float = 1.0


def working_image(volume, settings: NetworkSettings) -> WorkingImage:
    """A PetVolume on the working grid that these weights were trained on."""
    grid = WorkingGrid(tuple(volume.voxels.shape), np.asarray(volume.affine, dtype=float), settings.spacing_mm)
    voxels = grid.resample(volume.voxels)
    factor = 1.0
    if needs_suv_estimate(volume, settings):
        factor = estimate_suv_factor(voxels)
        voxels = voxels * factor
    return WorkingImage(voxels, grid, factor)


def needs_suv_estimate(volume, settings: NetworkSettings) -> bool:
    """Whether these weights want SUV of a PetVolume whose SUV is unknown."""
    return settings.normalisation == "asinh_suv" and not volume.suv_known


def estimate_suv_factor(voxels: Tensor) -> float:
    """A factor that brings voxels of unknown units near SUV: the mean over the body becomes 0.9.

    SUV averages 1 over a whole body by its definition. The estimate lets the network see uptake in its usual range; it
    is off by up to about two where the scan covers little of the body, so no SUV is ever reported from it.
    """
    mean = body_mean(voxels.numpy())
    return MEAN_BODY_SUV / mean if mean else 1.0


def normalise_window(window: Tensor, settings: NetworkSettings) -> Tensor:
    """Windows as the network sees them.

    Args:
        window: [..., S, S, S] uptake.

    Returns:
        Same shape. "zscore": mean and standard deviation over each window's voxels > 0, applied to all its voxels
        (unchanged where there are none or they are all equal). "asinh_suv": asinh of SUV.
    """
    if settings.normalisation == "asinh_suv":
        return torch.asinh(window)
    flat = window.flatten(-3)
    positive = (flat > 0).to(flat.dtype)
    count = positive.sum(-1, keepdim=True).clamp_min(1)
    mean = (flat * positive).sum(-1, keepdim=True) / count
    variance = ((flat - mean).square() * positive).sum(-1, keepdim=True) / (count - 1).clamp_min(1)
    std = torch.where(variance > 0, variance.sqrt(), torch.ones_like(variance))
    return ((flat - mean) / std).reshape(window.shape)
