"""Disagreement of masks, worked out by hand, and of a network whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter
from seganypet.networks import build_network
from seganypet.pet import PetVolume
from seganypet.selection import disagreement, nearby_clicks, study_uncertainty


def mask(*ones: int) -> np.ndarray:
    field = np.zeros((2, 2, 2), bool)
    field.ravel()[list(ones)] = True
    return field


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ([mask(0, 1), mask(0, 1), mask(0, 1)], 0.0),
        ([mask(0, 1), mask(2, 3)], 1.0),
        ([mask(0, 1), mask(1, 2)], 0.5),  # Dice 2·1 / 4
        ([mask(0, 1), mask(0, 1), mask(1, 2)], 1 - (1 + 0.5 + 0.5) / 3),
        ([mask(0), mask()], 1.0),
        ([mask(), mask()], 1.0),
    ],
)
def test_disagreement(masks, expected):
    assert disagreement(masks) == pytest.approx(expected)


def test_one_mask_cannot_disagree():
    with pytest.raises(ValueError, match="got 1"):
        disagreement([mask(0)])


def test_nearby_clicks_lie_millimetres_away_and_inside():
    clicks = nearby_clicks((5, 0, 9), (2.0, 4.0, 8.0), (20, 20, 10), apart_mm=4.0)
    assert [click.ijk for click in clicks] == [
        (5, 0, 9), (3, 0, 9), (7, 0, 9), (5, 0, 9), (5, 1, 9), (5, 0, 8.5), (5, 0, 9),
    ]  # fmt: skip
    assert all(click.positive for click in clicks)


class HalfSpaces:
    """Answers a click with everything below it along the first axis: what clicks 2 voxels apart agree on is known."""

    def __init__(self, segmenter: ClickSegmenter) -> None:
        self.encoder, self.asked = segmenter.encoder, 0

    def segment(self, volume: PetVolume, clicks: list[Click]) -> np.ndarray:
        self.asked += 1
        below = np.zeros(volume.shape, bool)
        below[: int(clicks[0].ijk[0]) + 1] = True
        return below


@pytest.fixture(scope="module")
def segmenter() -> ClickSegmenter:
    torch.manual_seed(0)
    net = build_network("compact")
    with torch.no_grad():
        net.decoder.head.weight.zero_()
        net.decoder.head.bias.fill_(4.0)
    return ClickSegmenter(net)


@pytest.fixture(scope="module")
def volume(segmenter) -> PetVolume:
    """Two blobs of SUV 8 and 5, on the weights' own grid turned round."""
    spacing = segmenter.settings.spacing_mm
    grid = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), -1)
    field = np.full((24,) * 3, 0.5, np.float32)
    for height, centre in ((8, (6, 6, 6)), (5, (18, 18, 12))):
        field += height * np.exp(-0.5 * ((grid - centre) ** 2).sum(-1) / 2**2)
    return PetVolume(field, np.diag([-spacing, spacing, spacing, 1.0]))


def test_a_network_that_always_answers_the_same_is_sure(segmenter, volume):
    found = study_uncertainty(segmenter, volume)
    assert found.score == 0
    assert found.complete
    places = np.array([peak.ijk for peak in found.peaks])
    assert np.abs(places - [(6, 6, 6), (18, 18, 12)]).max() <= 1
    assert found.peaks[0].uptake > found.peaks[1].uptake > 3


def test_the_score_is_the_mean_over_peaks_of_what_nearby_clicks_disagree_on(segmenter, volume):
    answers = HalfSpaces(segmenter)
    found = study_uncertainty(answers, volume, count=1)
    steps = 4.0 / segmenter.settings.spacing_mm
    i = found.peaks[0].ijk[0]
    low, middle, high = (int(i + step) + 1 for step in (-steps, 0, steps))  # layers; five clicks give the middle one
    pairs = 10 * 1.0 + 5 * 2 * low / (low + middle) + 5 * 2 * middle / (middle + high) + 2 * low / (low + high)
    assert found.score == pytest.approx(1 - pairs / 21, abs=1e-6)
    assert answers.asked == 7


def test_a_budget_that_is_over_leaves_one_peak(segmenter, volume):
    found = study_uncertainty(HalfSpaces(segmenter), volume, budget_s=0.0)
    assert len(found.peaks) == 1
    assert not found.complete


def test_a_study_without_uptake(segmenter):
    found = study_uncertainty(segmenter, PetVolume(np.zeros((8, 8, 8), np.float32), np.diag([4.0, 4, 4, 1])))
    assert (found.score, found.peaks, found.complete) == (0.0, (), True)
