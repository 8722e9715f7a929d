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

FINE_VOXELS_MM: tuple[tuple[tuple[float, float, float], float], ...] = (
    ((1.0, 1.0, 1.0), 0.25),  # resampled for a planning system or a challenge
    ((1.0, 1.0, 3.0), 0.15),
    ((1.5, 1.5, 1.5), 0.15),
    ((1.65, 1.65, 2.0), 0.2),  # Siemens Biograph Vision, 440 × 726 mm
    ((2.08, 2.08, 2.78), 0.25),  # GE Signa, 192 × 400 mm
)
"""Finer ones, for a part of the body: a whole one of these would be half a gigabyte."""
FINE_SHARE = 0.35


@dataclass(frozen=True)
class Scanner:
    """Resolution and noise of one acquisition.

    Args:
        fwhm_mm: full width at half maximum of the isotropic point spread.
        noise: standard deviation over mean in a tissue of SUV `reference_suv`, without units (0.1 is 10 %).
        noise_fwhm_mm: how far the noise is correlated.
        noise_exponent: noise grows as activity to this power: 0.5 as counts do, towards 1 as iterative
            reconstruction does.
        breathing_mm: full width at half maximum, along the body, of the blur by breathing at the diaphragm.
        reference_suv: where `noise` is stated; about the liver's.
    """

    fwhm_mm: float = 5.5
    noise: float = 0.12
    noise_fwhm_mm: float = 4.5
    noise_exponent: float = 0.7
    breathing_mm: float = 0.0
    reference_suv: float = 2.2

    def __post_init__(self) -> None:
        if not 0 <= self.fwhm_mm < 30:
            raise ValueError(f"fwhm_mm must lie in 0 to 30, got {self.fwhm_mm!r}")
        if not 0 <= self.breathing_mm < 60:
            raise ValueError(f"breathing_mm must lie in 0 to 60, got {self.breathing_mm!r}")
        if not 0 <= self.noise < 2:
            raise ValueError(f"noise must lie in 0 to 2 (0.1 is 10 %), got {self.noise!r}")


def draw_voxel_size(rng: np.random.Generator, *, fine: bool = False) -> tuple[float, float, float]:
    """A clinical scanner's voxel size in mm, with `fine` one of `FINE_VOXELS_MM` in a third of the draws."""
    fine = bool(rng.random() < FINE_SHARE) and fine
    sizes, shares = zip(*(FINE_VOXELS_MM if fine else VOXELS_MM), strict=True)
    return sizes[int(rng.choice(len(sizes), p=shares))]


def draw_scanner(rng: np.random.Generator, spacing_mm: Sequence[float] = (2.0, 2.0, 2.0)) -> Scanner:
    """An acquisition between a smooth, long one and a noisy, short one, on voxels of a size.

    A post-filter smooths noise as it correlates it, and a large voxel as it adds up counts: the same acquisition has
    less of it over a longer correlation. A real
    NEMA IQ phantom (gschramm/pynemaiqpet, 2.08 × 2.78 mm) was measured at a fwhm_mm of 4.5, a noise_fwhm_mm of 2, an
    exponent of 0.61 and 0.37 in its background; the draws go from there to smooth clinical reconstructions.
    """
    noise_fwhm_mm = float(np.exp(rng.uniform(np.log(1.8), np.log(8.0))))
    counts = float(np.exp(rng.uniform(np.log(0.05), np.log(0.2))))  # the noise at 4.5 mm
    return Scanner(
        fwhm_mm=float(rng.uniform(4.0, 8.0)),
        noise=min(0.45, counts * 4.5 / max(noise_fwhm_mm, float(np.mean(spacing_mm)))),
        noise_fwhm_mm=noise_fwhm_mm,
        noise_exponent=float(rng.uniform(0.55, 0.85)),
        breathing_mm=float(rng.choice([0.0, rng.uniform(4.0, 14.0)], p=[0.25, 0.75])),
    )


def blur(activity: np.ndarray, spacing_mm: Sequence[float], fwhm_mm: float, *, cut: bool = False) -> np.ndarray:
    """The activity seen through a Gaussian point spread of `fwhm_mm`.

    Sums are kept, and what leaves the grid is lost; on a grid `cut` out of a body, the body goes on around it.
    """
    sigma = [fwhm_mm / FWHM_PER_SIGMA / step for step in spacing_mm]
    return ndimage.gaussian_filter(activity, sigma, mode="nearest" if cut else "constant", truncate=3.5)


def breathe(activity: np.ndarray, height_mm: np.ndarray, spacing_mm: Sequence[float], fwhm_mm: float) -> np.ndarray:
    """The activity moved by breathing: blurred along the third axis, most at the diaphragm, not at all 15 cm from it.

    Args:
        activity: SUV [i, j, k].
        height_mm: height of each plane [k] in the template patient, whose diaphragm stands at 400 mm.
        spacing_mm: voxel size.
        fwhm_mm: of the blur where it is strongest.
    """
    share = np.exp(-(((height_mm - 400.0) / 70.0) ** 2)).astype(np.float32)
    share[np.abs(height_mm - 400.0) > 150] = 0
    planes = np.flatnonzero(share)
    if not fwhm_mm or not len(planes):
        return activity
    reach = int(np.ceil(1.5 * fwhm_mm / spacing_mm[2]))
    part = slice(max(0, int(planes[0]) - reach), int(planes[-1]) + 1 + reach)
    sigma = fwhm_mm / FWHM_PER_SIGMA / spacing_mm[2]
    moved = ndimage.gaussian_filter1d(activity[..., part], sigma, axis=2, mode="nearest", truncate=3.0)
    result = activity.copy()
    result[..., part] += share[part] * (moved - activity[..., part])
    return result


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
