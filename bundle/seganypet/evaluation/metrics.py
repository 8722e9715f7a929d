"""Agreement of masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.metrics import compute_surface_dice
from scipy import ndimage
from torch import Tensor

NSD_MM = 2.0
SAME_LESION_IOU = 0.1  # of a component of the answer and one of the truth that count as the same lesion
_EDGES = ndimage.generate_binary_structure(3, 2)  # 18 neighbours, as autoPET counts lesions


def dice(prediction: np.ndarray, target: np.ndarray) -> float:
    """2·|A∩B| / (|A| + |B|) of two bool arrays; 1 where both are empty."""
    total = int(prediction.sum()) + int(target.sum())
    return 2 * int((prediction & target).sum()) / total if total else 1.0


def surface_dice(
    prediction: np.ndarray, target: np.ndarray, spacing_mm: Sequence[float], tolerance_mm: float = NSD_MM
) -> float:
    """Normalised surface Dice (NSD): the share of both borders that lies within a tolerance of the other one.

    Args:
        prediction: bool [i, j, k].
        target: bool [i, j, k].
        spacing_mm: of the voxels.
        tolerance_mm: how far apart borders may lie.

    Returns:
        In [0, 1]; 1 where both are empty, 0 where one is.
    """
    if not prediction.any() or not target.any():
        return float(not prediction.any() and not target.any())
    box = ndimage.find_objects((prediction | target).astype(np.uint8))[0]
    one, other = (torch.from_numpy(np.pad(mask[box], 1))[None, None].float() for mask in (prediction, target))
    return float(compute_surface_dice(one, other, [tolerance_mm], include_background=True, spacing=list(spacing_mm)))


def lesion_f1(prediction: np.ndarray, target: np.ndarray) -> float:
    """autoPET V's detection-matching metric: the F1 score of lesions found, whatever their borders.

    Lesions are components of 18 neighbours. One of the truth is found where a component of the answer has an
    intersection over union of `SAME_LESION_IOU` or more with it; a component that finds none is a false positive.

    Args:
        prediction: bool [i, j, k].
        target: bool [i, j, k].

    Returns:
        In [0, 1]; NaN where the truth holds no lesion.
    """
    if not target.any():
        return float("nan")
    box = ndimage.find_objects((prediction | target).astype(np.uint8))[0]
    answered, answers = ndimage.label(prediction[box], _EDGES)
    true, lesions = ndimage.label(target[box], _EDGES)
    pairs = np.bincount((answered * (lesions + 1) + true).ravel(), minlength=(answers + 1) * (lesions + 1))
    both = pairs.reshape(answers + 1, lesions + 1)
    union = both.sum(1, keepdims=True) + both.sum(0, keepdims=True) - both
    same = (both >= SAME_LESION_IOU * union)[1:, 1:]
    found, wrong = int(same.any(0).sum()), int((~same.any(1)).sum())
    return 2 * found / (found + wrong + lesions)


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
