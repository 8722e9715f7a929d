"""Losses on click rollouts."""

from __future__ import annotations

import torch.nn.functional as F
from monai.losses import DiceCELoss
from torch import Tensor, nn

NEGATIVES_SHARE = 1 / 128  # of a window's voxels; 4,000 of 80³, about 100 mL at 3 mm
EVEN_FLOOR = 300.0  # voxels


class BalancedClickLoss(nn.Module):
    """Squared soft Dice plus a cross-entropy balanced between target and background.

    A plain mean of the cross-entropy over a window's voxels is dominated by background, and a network trained from
    nothing answers "empty" for hundreds of windows. Here the positives' mean stands beside the negatives' sum over
    (2n + floor), n the number of positives: false voxels weigh relative to the target's size.

    That weighs a missed voxel at least twice as much as a false one, so that masks come out too large. Weights that
    find their target go on with `even`, where both weigh the same.

    Args:
        entropy_weight: weight of the cross-entropy.
        even: one weight for every voxel, 1 / (2n + a small floor).
    """

    def __init__(self, entropy_weight: float = 0.5, *, even: bool = False) -> None:
        super().__init__()
        self.entropy_weight = entropy_weight
        self.entropy = even_entropy if even else balanced_entropy

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over samples, targets and clicks.

        Args:
            logits: [B, T, R, S, S, S]; decodes without a graph add a constant.
            targets: [B, T, S, S, S] bool.

        Returns:
            A scalar.
        """
        logits = logits.flatten(3)  # [B, T, R, V]
        target = targets.flatten(2)[:, :, None].to(logits.dtype)  # [B, T, 1, V]
        return (soft_dice_loss(logits, target) + self.entropy_weight * self.entropy(logits, target)).mean()


def soft_dice_loss(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """1 − 2·Σpy / (Σp² + Σy²) over the last axis, with `smooth` added above and below.

    Args:
        logits: [..., V].
        target: [..., V] in [0, 1], broadcastable.
    """
    probability = logits.sigmoid()
    overlap = (probability * target).sum(-1)
    return 1 - (2 * overlap + smooth) / (probability.square().sum(-1) + target.square().sum(-1) + smooth)


def balanced_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy over the target's n voxels plus its sum over the others / (2n + floor); [..., V] → [...]."""
    entropy = F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
    size = target.sum(-1)
    positive = (entropy * target).sum(-1) / size.clamp_min(1)
    negative = (entropy * (1 - target)).sum(-1) / (2 * size + NEGATIVES_SHARE * logits.shape[-1])
    return positive + negative


def even_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy summed over all voxels / (2n + floor), n the target's voxels; [..., V] → [...]."""
    entropy = F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
    return entropy.sum(-1) / (2 * target.sum(-1) + EVEN_FLOOR)


class DiceCEClickLoss(nn.Module):
    """Dice and cross-entropy (sigmoid, squared denominators) as arXiv 2603.11627 has it, summed over the clicks.

    Args:
        per_click: average over the clicks instead, so that rates do not depend on their number.
    """

    def __init__(self, *, per_click: bool = False) -> None:
        super().__init__()
        self.per_click = per_click
        self.dice_ce = DiceCELoss(sigmoid=True, squared_pred=True)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over samples and targets of the sum over clicks; shapes as in `BalancedClickLoss`."""
        clicks = logits.shape[2]
        target = targets[:, :, None].expand_as(logits).flatten(0, 2)[:, None].to(logits.dtype)  # [B·T·R, 1, S, S, S]
        loss = self.dice_ce(logits.flatten(0, 2)[:, None], target)
        return loss if self.per_click else loss * clicks
