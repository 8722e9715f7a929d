"""Studies whose places and values are known."""

from __future__ import annotations

import numpy as np

# the study's i runs to the front, j to the feet, k to the patient's right: no axis as the page has it
TURNED = np.array([[0, 0, 5.0, -70], [3.0, 0, 0, -60], [0, -4.0, 0, 90], [0, 0, 0, 1]])
SHAPE = (40, 36, 28)
BLOCKS = {"right": (20, 18, 23), "front": (34, 18, 14), "head": (20, 4, 14), "middle": (20, 18, 14)}  # [i, j, k]
VALUES = {"right": 2.0, "front": 3.0, "head": 4.0, "middle": 6.0}


def coded() -> np.ndarray:
    """SUV 0.5, and blocks of 7³ voxels at the patient's right, front, head and middle, each of its own SUV."""
    suv = np.full(SHAPE, 0.5, np.float32)
    for name, centre in BLOCKS.items():
        suv[tuple(slice(max(0, n - 3), n + 4) for n in centre)] = VALUES[name]
    return suv


def body() -> tuple[np.ndarray, np.ndarray]:
    """A trunk of SUV 1 with two hot balls of 16 and 24 mm, on an axial DICOM grid."""
    affine = np.diag([-4.0, -4.0, 4.0, 1.0])
    affine[:3, 3] = (150, 150, -200)
    shape = (75, 75, 60)
    mm = np.stack(np.meshgrid(*(4.0 * np.arange(n) for n in shape), indexing="ij"), -1)
    suv = np.where(((mm[..., :2] - 148) ** 2).sum(-1) < 120**2, 1.0, 0.05).astype(np.float32)
    rng = np.random.default_rng(0)
    suv *= rng.uniform(0.9, 1.1, shape).astype(np.float32)
    for centre, radius, value in (((100, 148, 120), 12, 9.0), ((200, 120, 100), 8, 7.0)):
        suv[((mm - centre) ** 2).sum(-1) < radius**2] = value
    return suv, affine
