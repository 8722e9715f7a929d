"""Blur and noise beside a real scanner's NEMA image quality phantom. No part of that scan is used for anything else."""

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from seganypet.data.phantoms import Scanner
from seganypet.data.phantoms.scanner import add_noise, blur, draw_scanner

SPHERES = {  # diameter in mm → about its centre, voxels
    37: (97.3, 121.9, 42.0),
    28: (120.3, 107.6, 42.6),
    22: (119.4, 80.1, 42.2),
    17: (95.3, 67.1, 42.5),
    13: (72.2, 81.6, 42.6),
    10: (73.0, 109.3, 42.3),
}
SPACING = (2.0833, 2.0833, 2.78)
MEASURED = Scanner(fwhm_mm=4.5, noise=0.37, noise_fwhm_mm=2.0, noise_exponent=0.61, reference_suv=1.0)
"""What the real reconstruction has, where its background is 1."""


@pytest.fixture(scope="module")
def scan(shared):
    slices = [pydicom.dcmread(path) for path in sorted((shared / "data/nema_iq/pet_recon_1").glob("*.dcm"))]
    slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    return np.stack([one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices], -1)


@pytest.fixture(scope="module")
def away(scan):
    """Distance in mm of every voxel to the middle of each sphere: the centroid of what is bright there."""
    x, y, z = np.ogrid[: scan.shape[0], : scan.shape[1], : scan.shape[2]]

    def distance(centre):
        return np.sqrt(sum(((axis - c) * step) ** 2 for axis, c, step in zip((x, y, z), centre, SPACING, strict=True)))

    found = {}
    for size, centre in SPHERES.items():
        for _ in range(5):
            near = distance(centre) < size / 2 + 4
            weight = np.where(near, np.clip(scan - 0.35 * scan[near].max(), 0, None), 0)
            centre = [float((weight * axis).sum() / weight.sum()) for axis in (x, y, z)]
        found[size] = distance(centre)
    return found


@pytest.fixture(scope="module")
def background(scan, away):
    body = ndimage.binary_fill_holes(ndimage.gaussian_filter(scan, 2) > 600)
    body = ndimage.binary_erosion(body, iterations=8)
    for size, distance in away.items():
        body &= distance > size / 2 + 18
    x, y, z = np.ogrid[: scan.shape[0], : scan.shape[1], : scan.shape[2]]
    lung = np.hypot((x - 96) * SPACING[0], (y - 95) * SPACING[1]) < 45  # its insert, in the middle
    return body & ~lung & (np.abs((z - 42) * SPACING[2]) < 35)


def numbers(image, away, background):
    """Mean and maximum in each known sphere over the core of the largest; coefficients of variation; correlation."""
    core = away[37] < 11
    plateau = image[core].mean()
    mean = [image[distance <= size / 2].mean() / plateau for size, distance in away.items()]
    highest = [image[distance <= size / 2].max() / plateau for size, distance in away.items()]
    spread = image[background].std() / image[background].mean(), image[core].std() / plateau
    deviation = np.where(background, image - image[background].mean(), 0)
    both = background[1:] & background[:-1]
    neighbours = (deviation[1:] * deviation[:-1])[both].mean() / image[background].var()
    return np.array(mean), np.array(highest), np.array(spread), float(neighbours)


def simulated(scan, away, background, scanner, rng):
    contrast = scan[away[37] < 11].mean() / scan[background].mean()
    activity = np.ones(scan.shape, dtype=np.float32)
    for size, distance in away.items():
        share = np.clip((size / 2 - distance) / np.mean(SPACING) + 0.5, 0, 1)
        activity += np.float32(contrast - 1) * share.astype(np.float32)
    return add_noise(blur(activity, SPACING, scanner.fwhm_mm, cut=True), SPACING, scanner, rng)


def test_simulated_spheres_recover_and_scatter_like_real_ones(scan, away, background):
    real = numbers(scan, away, background)
    made = numbers(simulated(scan, away, background, MEASURED, np.random.default_rng(0)), away, background)
    np.testing.assert_allclose(made[0], real[0], atol=0.06)  # means
    np.testing.assert_allclose(made[1], real[1], atol=0.25)  # single voxels
    np.testing.assert_allclose(made[2], real[2], rtol=0.15)
    assert made[3] == pytest.approx(real[3], abs=0.12)
    assert 0.3 < real[2][0] < 0.45  # the scan is as noisy as it was


def test_the_drawn_scanners_span_the_real_one():
    drawn = [draw_scanner(np.random.default_rng(seed)) for seed in range(400)]
    for name in ("fwhm_mm", "noise_fwhm_mm", "noise_exponent"):
        values = [getattr(one, name) for one in drawn]
        assert min(values) < getattr(MEASURED, name) < max(values)
    coarse = [draw_scanner(np.random.default_rng(seed), (5.5, 5.5, 3.3)) for seed in range(400)]
    assert max(one.noise for one in coarse) < 0.2  # counts add up in large voxels
    at_background = [one.noise * (1 / one.reference_suv) ** (one.noise_exponent - 1) for one in drawn]  # of SUV 1
    assert min(at_background) < 0.37 < max(at_background)
    assert all(4 <= one.fwhm_mm <= 8 for one in drawn)
    assert np.median([one.noise for one in drawn]) < 0.2  # most are smoother
