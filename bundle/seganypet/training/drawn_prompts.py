"""Drawings of a simulated reader: a box, a lasso or a stroke where a rollout would have begun with a click.

How a reader draws is assumed, not measured: boxes stand off the target by up to a tenth of its side and a voxel on
each face, seldom cutting into it; a lasso follows the target in one plane, where that is large, a voxel or two too wide
or too narrow; a stroke lies deep in the target.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seganypet.clicks.drawing import depth_score, pick_voxel
from seganypet.networks.drawn_masks import box_logits, contour_logits

DRAWINGS = ("box", "lasso", "scribble")
STROKE_CLICKS = 3


def draw_prompt(kind: str, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A drawing as the network gets it.

    Args:
        kind: one of `DRAWINGS`.
        target: [B, 1, S, S, S] bool; a box is drawn around what of it lies in the window.
        generator: of the reader's habits.

    Returns:
        Positive clicks [B, N, 3] in window voxels and a mask prompt [B, 1, S, S, S] in logits, of the window's voxels.
    """
    if kind == "scribble":
        uniform = torch.rand((STROKE_CLICKS, target.shape[0]), generator=generator).to(target.device)
        weights = depth_score(target)
        clicks = [pick_voxel(weights, one) for one in uniform]
        return torch.stack(clicks, 1), torch.zeros(target.shape, device=target.device)
    draw = _box if kind == "box" else _lasso
    drawn = [draw(one, generator) for one in target[:, 0]]
    points, logits = (torch.stack(part) for part in zip(*drawn, strict=True))
    return points[:, None].float(), logits[:, None]


def _box(target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    sides = []
    for axis, size in enumerate(target.shape):
        others = [a for a in range(3) if a != axis]
        inside = target.any(others[1]).any(others[0]).nonzero().flatten()
        low, high = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, size)
        off = (torch.rand(2, generator=generator) * 0.13 - 0.03) * (high - low) + torch.rand(2, generator=generator)
        low, high = max(0, round(low - float(off[0]))), min(size, round(high + float(off[1])))
        sides.append((low, max(high, low + 1)))
    middle = torch.tensor([(low + high - 1) / 2 for low, high in sides], device=target.device)
    return middle, box_logits(sides, target.shape, target.device)


def _lasso(target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    axis = int(torch.randint(3, (), generator=generator))
    habit = float(torch.rand((), generator=generator))
    moved = target.movedim(axis, 0)
    plane = int(moved.flatten(1).sum(1).argmax())
    drawn = moved[plane].float()[None, None]
    wide = F.avg_pool2d(drawn, 5, stride=1, padding=2)[0, 0] > 0.15 + 0.35 * habit  # and rounder than the target
    drawn = wide if wide.any() else moved[plane]
    deep = depth_score(drawn.expand(2, -1, -1)[None, None])[0, 0, 0]  # it asks for two planes
    u, v = divmod(int(deep.flatten().argmax()), deep.shape[1])
    place = [u, v]
    place.insert(axis, plane)
    return torch.tensor(place, device=target.device), contour_logits(drawn, axis, plane, target.shape[axis])
