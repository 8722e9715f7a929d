"""What the embedded weights must not get wrong, with bounds loose enough for the next ones."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from seganypet.clicks import Click, centre_click
from seganypet.data import Phantom, make_phantom
from seganypet.data.targets import is_lesion
from seganypet.evaluation.metrics import dice
from seganypet.inference import ClickSegmenter
from seganypet.networks import load_network
from seganypet.pet import PetVolume

SPACING_MM = 3.0
ORGANS = ("liver", "spleen", "kidney_left", "heart", "urinary_bladder")


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


@pytest.fixture(scope="module")
def fresh_phantoms() -> list[Phantom]:
    """Two that nobody saw, others each time; SEGANYPET_SEED repeats those of a run that failed."""
    seed = int(os.environ.get("SEGANYPET_SEED") or secrets.randbelow(10**9))
    print(f"phantoms of SEGANYPET_SEED={seed}")
    return [make_phantom(seed + more, scan_range="eyes_to_thigh", voxel_size_mm=(3.0, 3.0, 3.0)) for more in range(2)]


def test_clicks_reach_the_lesions_of_phantoms_that_nobody_saw(segmenter, fresh_phantoms):
    # of 18 single phantoms the worst had 0.54 and 0.66
    first, third = np.mean(on_all(segmenter, fresh_phantoms, of_lesions), axis=0)[[0, 2]]
    assert first > 0.4
    assert third > 0.5
    assert third > first - 0.02


def test_a_volume_sent_with_its_axes_in_another_order_loses_little(segmenter, fresh_phantoms):
    """Clients of nnInteractive's protocol may send z, y, x, and nothing says so."""
    for chosen in (of_lesions, of_organs):
        stored = np.mean(on_all(segmenter, fresh_phantoms, chosen), axis=0)
        turned = np.mean(on_all(segmenter, fresh_phantoms, chosen, turned=True), axis=0)
        # over 16 phantoms the mean after three clicks differs by less than 0.01, on a single one by up to 0.16
        assert turned[2] > stored[2] - 0.12


def of_lesions(name: str) -> bool:
    return is_lesion(name)


def of_organs(name: str) -> bool:
    return name in ORGANS


def on_all(
    segmenter: ClickSegmenter, phantoms: list[Phantom], chosen: Callable[[str], bool], *, turned: bool = False
) -> list[list[float]]:
    """Dice after each of three clicks on every target that is chosen by its name."""
    found = []
    for phantom in phantoms:
        suv, labels = phantom.suv.astype(np.float32), phantom.labels
        volume = PetVolume(suv, phantom.affine)
        if turned:
            labels = np.ascontiguousarray(labels.T)
            volume = PetVolume(np.ascontiguousarray(suv.T), np.diag([SPACING_MM] * 3 + [1.0]))
        for value, name in phantom.label_names.items():
            target = labels == value
            if chosen(name) and target.sum() >= 10:
                found.append(answers(segmenter, volume, target))
    return found


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
