import numpy as np
import pytest
import torch

from seganypet.clicks import Click
from seganypet.evaluation.metrics import dice, dice_per_click
from seganypet.evaluation.protocol import click_curve
from seganypet.evaluation.report import TargetResult, summarise
from seganypet.evaluation.threshold_region import best_threshold_dice, threshold_region
from seganypet.pet import PetVolume


def test_dice_by_hand():
    one, two = np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2), bool)
    assert dice(one, two) == 1
    one[0], two[0, 0] = True, True
    assert dice(one, two) == pytest.approx(2 * 2 / (4 + 2))


def test_dice_per_click_by_hand():
    targets = torch.zeros(1, 1, 2, 2, 2, dtype=torch.bool)
    targets[..., 0, :, :] = True
    logits = torch.full((1, 1, 2, 2, 2, 2), -1.0)
    logits[0, 0, 1, 0] = 1.0
    assert dice_per_click(logits, targets).tolist() == [[[0.0, 1.0]]]


def test_curve_clicks_the_middle_of_the_largest_error_and_repeats_when_nothing_is_wrong():
    target = np.zeros((9, 9, 9), bool)
    target[1:4, 1:4, 1:4] = True
    target[6:8, 6:8, 6:8] = True
    asked: list[tuple[Click, ...]] = []

    def segment(clicks):
        asked.append(tuple(clicks))
        mask = np.zeros_like(target)
        mask[1:4, 1:4, 1:4] = True
        if len(clicks) > 1:
            mask |= target
        return mask

    curve = click_curve(segment, target, (1.0, 1.0, 1.0), clicks=4)
    assert curve == pytest.approx([2 * 27 / (27 + 35), 1, 1, 1])
    assert asked[0] == (Click((2, 2, 2)),)
    assert len(asked) == 2
    assert asked[1][1].positive
    with pytest.raises(ValueError, match="empty"):
        click_curve(segment, np.zeros_like(target), (1.0, 1.0, 1.0))


def hot_spot() -> tuple[PetVolume, np.ndarray]:
    voxels = np.full((20, 20, 20), 0.5, np.float32)
    voxels[4:8, 4:8, 4:8] = 4.2
    voxels[5, 5, 5] = 10.0
    voxels[15, 15, 15] = 30.0
    return PetVolume(voxels, np.diag([4.0, 4, 4, 1])), voxels == np.float32(4.2)


def test_threshold_region_uses_the_local_maximum_and_stays_connected():
    volume, shell = hot_spot()
    region = threshold_region(volume, [Click((6, 6, 6))])
    assert region.sum() == 64  # 4.2 ≥ 0.41 · 10; the hotter voxel 6 cm away is neither reached nor joined
    assert region[shell].all()
    assert not region[15, 15, 15]
    assert threshold_region(volume, [Click((6, 6, 6), positive=False)]).sum() == 0
    assert threshold_region(volume, [Click((6, 6, 6))], share=0.5).sum() == 1


def test_best_threshold_is_an_oracle():
    volume, shell = hot_spot()
    target = shell.copy()
    target[5, 5, 5] = True
    assert best_threshold_dice(volume, target) == 1.0


def test_summary_groups_targets():
    rows = [
        TargetResult("a", "liver", False, 1500.0, [0.5, 0.6, 0.7, 0.8, 0.9], None, None),
        TargetResult("a", "lesion", True, 5.0, [0.4] * 5, [0.2] * 5, 0.7),
        TargetResult("b", "lesion", True, 50.0, [0.6] * 5, [0.3] * 5, 0.8),
        TargetResult("c", "lesion", True, 60.0, [0.8] * 5, [0.5] * 5, 0.6),
    ]
    lines = summarise(rows).splitlines()
    assert lines[2] == "| lesions < 10 mL | 1 | 0.40 ± 0.00 | 0.40 ± 0.00 | 0.40 ± 0.00 | 0.20 | 0.20 | 0.20 | 0.70 |"
    assert lines[3].startswith("| lesions ≥ 10 mL | 2 | 0.70 ± 0.10 |")
    assert lines[4] == "| organs | 1 | 0.50 ± 0.00 | 0.70 ± 0.00 | 0.90 ± 0.00 | – | – | – | – |"
