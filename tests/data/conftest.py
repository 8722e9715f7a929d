"""Phantoms that several tests of this room look at."""

import pytest

from seganypet.data.phantoms import Phantom, Scanner, make_phantom

COARSE = (5.0, 5.0, 5.0)


@pytest.fixture(scope="session")
def man() -> Phantom:
    """Head to thighs, without blur and noise: what was painted."""
    still = Scanner(fwhm_mm=0.0, noise=0.0)
    return make_phantom(7, sex="male", scan_range="vertex_to_thigh", voxel_size_mm=COARSE, scanner=still)


@pytest.fixture(scope="session")
def woman() -> Phantom:
    still = Scanner(fwhm_mm=0.0, noise=0.0)
    return make_phantom(9, sex="female", scan_range="vertex_to_thigh", voxel_size_mm=COARSE, scanner=still)
