"""Agreement of masks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def dice(prediction: np.ndarray, target: np.ndarray) -> float:
    """2·|A∩B| / (|A| + |B|) of two bool arrays; 1 where both are empty."""
    total = int(prediction.sum()) + int(target.sum())
    return 2 * int((prediction & target).sum()) / total if total else 1.0


def dice_per_click(logits: Tensor, targets: Tensor) -> Tensor:
    """Dice after every click of a rollout.

    Args:
        logits: [B, T, R, S, S, S].
        targets: [B, T, S, S, S] bool.

    Returns:
        [B, T, R]; 1 where prediction and target are both empty.
    """
    prediction = (logits > 0).flatten(3)
    target = targets.flatten(2)[:, :, None]
    overlap = (prediction & target).sum(-1)
    total = prediction.sum(-1) + target.sum(-1)
    return torch.where(total > 0, 2 * overlap / total.clamp_min(1), torch.ones_like(overlap, dtype=torch.float32))
