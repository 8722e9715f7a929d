"""What a scanner makes of an activity map: its grid, its blur, its noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))

VOXELS_MM: tuple[tuple[tuple[float, float, float], float], ...] = (
    ((5.46875, 5.46875, 3.27), 0.2),  # GE Discovery, 128 × 700 mm
    ((4.6875, 4.6875, 3.27), 0.15),  # GE Discovery, 128 × 600 mm
    ((3.90625, 3.90625, 3.27), 0.15),  # GE Discovery, 128 × 500 mm
    ((3.64583, 3.64583, 3.27), 0.1),  # GE Discovery 690, 192 × 700 mm
    ((2.734375, 2.734375, 3.27), 0.05),  # GE Discovery MI, 256 × 700 mm
    ((4.07283, 4.07283, 3.0), 0.12),  # Siemens Biograph mCT, 200 × 815 mm
    ((4.07283, 4.07283, 5.0), 0.05),
    ((4.07283, 4.07283, 2.027), 0.05),
    ((2.03642, 2.03642, 3.0), 0.03),  # Siemens Biograph mCT, 400 × 815 mm
    ((4.0, 4.0, 4.0), 0.1),  # Philips Gemini, 144 × 576 mm
)
"""Voxel sizes of clinical scanners and how often a phantom takes each."""


@dataclass(frozen=True)
class Scanner:
    """Resolution and noise of one acquisition.

    Args:
        fwhm_mm: full width at half maximum of the isotropic point spread.
        noise: standard deviation over mean in a tissue of SUV `reference_suv`, without units (0.1 is 10 %).
        noise_fwhm_mm: how far the noise is correlated.
        noise_exponent: noise grows as activity to this power: 0.5 as counts do, towards 1 as iterative
            reconstruction does.
        reference_suv: where `noise` is stated; about the liver's.
    """

    fwhm_mm: float = 5.5
    noise: float = 0.12
    noise_fwhm_mm: float = 4.5
    noise_exponent: float = 0.7
    reference_suv: float = 2.2

    def __post_init__(self) -> None:
        if not 0 <= self.fwhm_mm < 30:
            raise ValueError(f"fwhm_mm must lie in 0 to 30, got {self.fwhm_mm!r}")
        if not 0 <= self.noise < 2:
            raise ValueError(f"noise must lie in 0 to 2 (0.1 is 10 %), got {self.noise!r}")


def draw_voxel_size(rng: np.random.Generator) -> tuple[float, float, float]:
    """A clinical scanner's voxel size in mm."""
    sizes, shares = zip(*VOXELS_MM, strict=True)
    return sizes[int(rng.choice(len(sizes), p=shares))]


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """An acquisition between a smooth, long one and a noisy, short one."""
    return Scanner(
        fwhm_mm=float(rng.uniform(4.0, 7.0)),
        noise=float(np.exp(rng.uniform(np.log(0.08), np.log(0.2)))),
        noise_fwhm_mm=float(rng.uniform(3.0, 7.0)),
        noise_exponent=float(rng.uniform(0.55, 0.85)),
    )


def blur(activity: np.ndarray, spacing_mm: Sequence[float], fwhm_mm: float) -> np.ndarray:
    """The activity seen through a Gaussian point spread of `fwhm_mm`; sums are kept, what leaves the grid is lost."""
    sigma = [fwhm_mm / FWHM_PER_SIGMA / step for step in spacing_mm]
    return ndimage.gaussian_filter(activity, sigma, mode="constant", truncate=3.5)


def add_noise(
    blurred: np.ndarray, spacing_mm: Sequence[float], scanner: Scanner, rng: np.random.Generator
) -> np.ndarray:
    """The blurred activity with spatially correlated noise that grows with it; never below 0.

    Args:
        blurred: SUV [i, j, k].
        spacing_mm: voxel size.
        scanner: noise level and correlation.
        rng: draws the noise.
    """
    white = rng.standard_normal(blurred.shape, dtype=np.float32)
    sigma = np.asarray([scanner.noise_fwhm_mm / FWHM_PER_SIGMA / step for step in spacing_mm])
    noise = ndimage.gaussian_filter(white, sigma, mode="wrap", truncate=3.0)
    noise /= max(float(noise.std()), 1e-6)
    deviation = np.maximum(blurred, 0) ** np.float32(scanner.noise_exponent)
    deviation *= np.float32(scanner.noise * scanner.reference_suv ** (1 - scanner.noise_exponent))
    return np.maximum(blurred + deviation * noise, 0)
