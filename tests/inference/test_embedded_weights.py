"""What the embedded weights must not get wrong, with bounds loose enough for the next ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from seganypet.clicks import Click, centre_click
from seganypet.data import make_phantom
from seganypet.data.targets import is_lesion
from seganypet.evaluation.metrics import dice
from seganypet.inference import ClickSegmenter
from seganypet.networks import load_network
from seganypet.pet import PetVolume

SPACING_MM = 3.0
FRESH_SEEDS = (70_001, 70_002)  # no training or other evaluation has them


@pytest.fixture(scope="module")
def segmenter(repo) -> ClickSegmenter:
    return ClickSegmenter(load_network(repo / "bundle" / "models" / "model.pt"))


def ball(shape: tuple[int, int, int], centre: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    offsets = (np.indices(shape).T - centre).T * SPACING_MM
    return (offsets**2).sum(0) <= radius_mm**2


@pytest.mark.parametrize("node_radius_mm", [6.0, 9.0, 13.0])
def test_a_node_under_a_brain_is_answered_without_the_brain(segmenter, node_radius_mm):
    shape = (90, 90, 110)
    brain, node = ball(shape, (45, 45, 75), 70.0), ball(shape, (37, 45, 40), node_radius_mm)
    body = ball(shape, (45, 45, 75), 85.0) | ball(shape, (45, 45, 20), 75.0)
    suv = np.where(brain, 10.0, np.where(node, 8.0, np.where(body, 0.8, 0.02)))
    suv = ndimage.gaussian_filter(suv, 6.0 / 2.355 / SPACING_MM)
    noise = np.random.default_rng(0).normal(1.0, 0.05, shape)
    volume = PetVolume((suv * noise).astype(np.float32), np.diag([SPACING_MM] * 3 + [1.0]))
    click = centre_click(np.zeros(shape, bool), node, volume.spacing_mm)
    assert click is not None
    mask = segmenter.segment(volume, [click])
    assert not (mask & brain).any()
    assert 0.5 < mask.sum() / node.sum() < 2.0
    assert dice(mask, node) > 0.6


def test_clicks_reach_the_lesions_of_phantoms_that_nobody_saw(segmenter):
    found: list[list[float]] = []
    for seed in FRESH_SEEDS:
        phantom = make_phantom(seed, scan_range="eyes_to_thigh", voxel_size_mm=(3.0, 3.0, 3.0))
        volume = PetVolume(phantom.suv.astype(np.float32), phantom.affine)
        for value, name in phantom.label_names.items():
            lesion = phantom.labels == value
            if is_lesion(name) and lesion.sum() >= 10:
                found.append(answers(segmenter, volume, lesion))
    first, third = np.mean(found, axis=0)[[0, 2]]
    assert len(found) >= 4
    assert first > 0.45
    assert third > 0.65
    assert third > first


def answers(segmenter: ClickSegmenter, volume: PetVolume, target: np.ndarray) -> list[float]:
    """Dice after each of three clicks at the middle of the largest error."""
    clicks: list[Click] = []
    mask, reached = np.zeros_like(target), []
    for _ in range(3):
        click = centre_click(mask, target, volume.spacing_mm)
        if click is not None:
            clicks.append(click)
            mask = segmenter.segment(volume, clicks)
        reached.append(dice(mask, target))
    return reached
