"""A box or a lasso as the mask prompt of a window."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from seganypet.clicks import Box, Lasso
from seganypet.data.preprocessing import WorkingGrid
from seganypet.inference.prompt_steps import drawn_voxels
from seganypet.inference.tiles import Blend
from seganypet.inference.windows import Origin
from seganypet.networks.drawn_masks import CONTOUR, INSIDE_BOX, OUTSIDE_BOX

Drawing = Box | Lasso


def drawn_prompt(
    drawing: Drawing, shape: tuple[int, int, int], grid: WorkingGrid, window: Origin, size: int, stride: int
) -> Blend:
    """What a drawing says in a window, in logits: see `drawn_masks`.

    Args:
        drawing: in voxels of the volume.
        shape: of the volume.
        grid: working grid of the window's rung.
        window: its first working voxel.
        size: working voxels along each axis.
        stride: working voxels per logit cell.
    """
    voxels = drawn_voxels(drawing)
    inside = voxels.on(shape, "C")
    within = F.avg_pool3d(grid.window(inside, window, size)[None, None], stride)[0, 0] >= 0.5
    thin = int(np.argmin(voxels.shape))
    if isinstance(drawing, Box) and voxels.shape[thin] > 1:
        logits = torch.where(within, INSIDE_BOX, OUTSIDE_BOX)
    else:  # one that is drawn in a plane says nothing of those above and below
        plane = np.zeros(shape, bool)
        plane[tuple(side if axis == thin else slice(None) for axis, side in enumerate(voxels.box))] = True
        known = F.avg_pool3d(grid.window(plane, window, size)[None, None], stride)[0, 0] >= 0.5
        sides = (INSIDE_BOX, OUTSIDE_BOX) if isinstance(drawing, Box) else (CONTOUR, -CONTOUR)
        logits = torch.where(known, torch.where(within, *sides), 0.0)
    return Blend(window, logits, torch.ones_like(logits, dtype=torch.bool))
