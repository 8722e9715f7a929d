"""Drawing clicks for training: batched, on any device, reproducible from one uniform number per click."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOB_CELLS = (3, 5, 9)  # box widths, in pairs of voxels, whose averages tell how deep inside a blob a voxel lies
CENTRE_POWER = 6.0


def depth_score(mask: Tensor) -> Tensor:
    """How deep inside `mask` each of its voxels lies, relative to the deepest; 0 outside.

    A distance transform would need a pass over the CPU for every click; averages over boxes of three sizes, at half the
    resolution, order voxels nearly the same way.

    Args:
        mask: [B, 1, D, H, W] bool.

    Returns:
        [B, 1, D, H, W] in [0, 1].
    """
    inside = mask.float()
    coarse = F.avg_pool3d(inside, 2, ceil_mode=True)
    score = torch.zeros_like(coarse)
    for cells in BLOB_CELLS:
        mean = coarse
        for axis in range(3):  # one axis at a time: 3·n instead of n³ additions
            width = min(cells, (coarse.shape[2 + axis] - 1) // 2 * 2 + 1)
            kernel = [width if a == axis else 1 for a in range(3)]
            mean = F.avg_pool3d(mean, kernel, stride=1, padding=[n // 2 for n in kernel])
        score += mean
    score = F.interpolate(score, size=mask.shape[2:], mode="trilinear", align_corners=False) * inside
    return score / score.amax(dim=(1, 2, 3, 4), keepdim=True).clamp_min(1e-6)


def pick_voxel(weights: Tensor, uniform: Tensor) -> Tensor:
    """One voxel per sample, drawn with probability proportional to its weight.

    Args:
        weights: [B, 1, D, H, W] ≥ 0.
        uniform: [B] in [0, 1).

    Returns:
        [B, 3] float voxel indices; the first voxel of positive weight where all lie at one place, and the window's
        last voxel where every weight is zero.
    """
    cumulative = weights.flatten(1).double().cumsum(1)  # [B, V]
    total = cumulative[:, -1:]
    flat = torch.searchsorted(cumulative, uniform.to(cumulative)[:, None] * total, right=True)
    flat = flat.clamp_max(cumulative.shape[1] - 1)[:, 0]
    _, _, _, height, width = weights.shape
    return torch.stack([flat // (height * width), flat // width % height, flat % width], 1).float()


def draw_first_click(target: Tensor, image: Tensor, uniform: Tensor) -> Tensor:
    """Where a reader first clicks on a target: near its middle, on its hottest part, or anywhere on it.

    Args:
        target: [B, 1, D, H, W] bool.
        image: [B, 1, D, H, W] uptake, any monotonic scale.
        uniform: [B, 2] in [0, 1): which of the three (half, a quarter, a quarter), and where.

    Returns:
        [B, 3] float voxel indices.
    """
    inside = target.float()
    low = image.masked_fill(~target, float("inf")).amin(dim=(1, 2, 3, 4), keepdim=True)
    high = image.masked_fill(~target, float("-inf")).amax(dim=(1, 2, 3, 4), keepdim=True)
    heat = ((image - low) / (high - low).clamp_min(1e-6)).nan_to_num(0).clamp(0, 1).pow(CENTRE_POWER) * inside
    heat = torch.where(high > low, heat, inside)  # of a target without a hottest part, anywhere
    kind = uniform[:, 0].view(-1, 1, 1, 1, 1)
    weights = torch.where(kind < 0.5, depth_score(target).pow(CENTRE_POWER), torch.where(kind < 0.75, heat, inside))
    return pick_voxel(weights, uniform[:, 1])


def draw_error_click(
    prediction: Tensor, target: Tensor, uniform: Tensor, deep_share: float = 0.75
) -> tuple[Tensor, Tensor]:
    """The next click, drawn from where the prediction is wrong: towards the middle of its larger errors.

    Args:
        prediction: [B, 1, D, H, W] bool.
        target: [B, 1, D, H, W] bool.
        uniform: [B, 2] in [0, 1): deep in an error or anywhere on it, and where.
        deep_share: how often deep in it, 0 to 1. 0 is the released code's way: any wrong voxel as likely as another.

    Returns:
        Points [B, 3] and labels [B]: 1 on a missed voxel, 0 on a false one, −1 where nothing is wrong.
    """
    error = prediction != target
    kind = uniform[:, 0].view(-1, 1, 1, 1, 1)
    weights = torch.where(kind < deep_share, depth_score(error).pow(CENTRE_POWER), error.float())
    points = pick_voxel(weights, uniform[:, 1])
    i, j, k = points.long().unbind(1)
    sign = target[torch.arange(len(points), device=points.device), 0, i, j, k].float()
    any_error = error.flatten(1).any(1)
    return points, torch.where(any_error, sign, torch.full_like(sign, -1.0))
