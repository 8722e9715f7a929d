import math

import pytest
import torch

from seganypet.training.losses import (
    EVEN_FLOOR,
    NEGATIVES_SHARE,
    BalancedClickLoss,
    balanced_entropy,
    even_entropy,
    soft_dice_loss,
)


def test_soft_dice_by_hand():
    logits = torch.tensor([0.0, 0.0, 0.0, 0.0])  # p = 0.5
    target = torch.tensor([1.0, 1.0, 0.0, 0.0])
    # 2·Σpy = 2, Σp² = 1, Σy² = 2 -> 1 − (2 + 1) / (3 + 1)
    assert soft_dice_loss(logits, target).item() == pytest.approx(0.25)


def test_soft_dice_of_the_right_answer_is_nothing():
    target = torch.tensor([1.0, 0.0, 1.0])
    assert soft_dice_loss((target - 0.5) * 100, target).item() == pytest.approx(0, abs=1e-6)


def test_entropy_weighs_false_voxels_by_the_targets_size():
    logits = torch.zeros(10)
    target = torch.zeros(10)
    target[:2] = 1
    expected = math.log(2) + 8 * math.log(2) / (2 * 2 + 10 * NEGATIVES_SHARE)
    assert balanced_entropy(logits, target).item() == pytest.approx(expected, rel=1e-6)


def test_even_entropy_weighs_every_voxel_alike():
    target = torch.zeros(10)
    target[:2] = 1
    assert even_entropy(torch.zeros(10), target).item() == pytest.approx(10 * math.log(2) / (4 + EVEN_FLOOR), rel=1e-6)
    missed, false = torch.zeros(10), torch.zeros(10)
    missed[0], false[9] = -3, 3
    assert even_entropy(missed, target).item() == pytest.approx(even_entropy(false, target).item(), rel=1e-6)
    loss = BalancedClickLoss(even=True)
    by_hand = soft_dice_loss(missed, target) + 0.5 * even_entropy(missed, target)
    shaped = missed.view(1, 1, 1, 10, 1, 1), target.view(1, 1, 10, 1, 1) > 0
    assert loss(*shaped).item() == pytest.approx(by_hand.item(), rel=1e-6)


def test_loss_is_the_mean_over_targets_and_clicks():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, 5, 5, generator=generator)
    targets = torch.rand(2, 3, 5, 5, 5, generator=generator) > 0.5
    loss = BalancedClickLoss()
    parts = [loss(logits[b : b + 1, t : t + 1, r : r + 1], targets[b : b + 1, t : t + 1])
             for b in range(2) for t in range(3) for r in range(4)]  # fmt: skip
    assert loss(logits, targets).item() == pytest.approx(torch.stack(parts).mean().item(), rel=1e-5)


def test_an_empty_target_has_a_finite_loss():
    assert torch.isfinite(BalancedClickLoss()(torch.zeros(1, 1, 1, 4, 4, 4), torch.zeros(1, 1, 4, 4, 4) > 0))
