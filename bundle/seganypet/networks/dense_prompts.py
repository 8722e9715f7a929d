"""Clicks drawn as dense maps on the decoder's grid; what `compact` reads where vit_b reads tokens.

A network trained from nothing on a few hundred PET windows does not learn to turn a token into a place; a drawn click
is a place already. Uptake relative to the click's is drawn beside it: in asinh(SUV) a difference is a log ratio, so
"41 % of the maximum" is a constant.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

NARROW_CELLS = 0.75
WIDE_CELLS = 3.0
NEIGHBOURHOOD_VOXELS = 20 / 3  # 2 cm on a grid of 3 mm, and 1 cm on one of 1.5 mm, where a neighbour is another lesion
FAR = 3.0  # "no click of this sign": farther in asinh(SUV) than tissues lie apart


def draw_clicks(points: Tensor, active: Tensor, grid: int, stride: int, sigma_cells: float) -> Tensor:
    """The highest of the Gaussians around the active points, at each cell.

    Args:
        points: [B, N, 3] window voxels.
        active: [B, N] bool, which points to draw.
        grid: cells per axis.
        stride: voxels per cell.
        sigma_cells: standard deviation in cells.

    Returns:
        [B, 1, grid, grid, grid] in [0, 1]; zero where no point is active.
    """
    if points.shape[1] == 0:
        return points.new_zeros((points.shape[0], 1, grid, grid, grid))
    cells = torch.arange(grid, device=points.device, dtype=points.dtype)
    centre = (points + 0.5) / stride - 0.5  # [B, N, 3]
    bell = torch.exp(-0.5 * ((cells - centre[..., None]) / sigma_cells).square())  # [B, N, 3, grid]
    bell = bell * active[..., None, None]
    drawn = points.new_zeros((points.shape[0], grid, grid, grid))
    for n in range(points.shape[1]):
        x, y, z = bell[:, n].unbind(1)
        drawn = torch.maximum(drawn, x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :])
    return drawn[:, None]


def sample_at(volume: Tensor, points: Tensor, stride: int) -> Tensor:
    """Values of `volume` at points, trilinearly.

    Args:
        volume: [B, C, G, G, G], cells of `stride` voxels.
        points: [B, N, 3] window voxels.

    Returns:
        [B, N, C].
    """
    size = volume.shape[-1] * stride
    grid = ((points + 0.5) / size * 2 - 1).flip(-1)[:, :, None, None]  # grid_sample wants (dim2, dim1, dim0)
    sampled = F.grid_sample(volume, grid.to(volume.dtype), align_corners=False, padding_mode="border")
    return sampled[..., 0, 0].transpose(1, 2)


def neighbourhood_maximum(image: Tensor, points: Tensor, radius_voxels: float) -> Tensor:
    """[B, N]: the highest value within a radius of each point.

    Args:
        image: [B, 1, S, S, S].
        points: [B, N, 3] window voxels.
        radius_voxels: radius of the ball; a ball that holds no voxel centre counts as the nearest voxel.
    """
    size, reach = image.shape[-1], int(radius_voxels)
    steps = torch.arange(-reach, reach + 1, device=image.device)
    ball = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    ball = ball[ball.square().sum(-1) <= radius_voxels**2]  # [K, 3]
    places = points.round().long()[:, :, None] + ball  # [B, N, K, 3]
    inside = ((places >= 0) & (places < size)).all(-1)
    places = places.clamp(0, size - 1)
    flat = (places[..., 0] * size + places[..., 1]) * size + places[..., 2]
    values = image.flatten(1).gather(1, flat.flatten(1)).view(flat.shape)
    return values.masked_fill(~inside, float("-inf")).amax(-1).clamp_min(float(torch.finfo(image.dtype).min) / 2)


def similarity_maps(
    image: Tensor, coarse: Tensor, points: Tensor, positive: Tensor, negative: Tensor, *, radius_voxels: float
) -> Tensor:
    """Uptake relative to the clicked uptake.

    Args:
        image: [B, 1, S, S, S] asinh(SUV).
        coarse: [B, 1, G, G, G], the same image on the cells to draw.
        points: [B, N, 3] window voxels.
        positive: [B, N] bool.
        negative: [B, N] bool.
        radius_voxels: how far around a click its maximum is sought.

    Returns:
        [B, 4, G, G, G]: image minus the mean clicked value; image minus the highest value near a positive click;
        smallest absolute difference to a positive click; and to a negative one. Zero, zero, and FAR where there is no
        click of that sign.
    """
    batch, clicks = positive.shape
    if clicks == 0:
        zeros = torch.zeros_like(coarse)
        return torch.cat([zeros, zeros, zeros + FAR, zeros + FAR], 1)
    values = sample_at(image, points, 1)[..., 0]  # [B, N]
    peak = neighbourhood_maximum(image, points, radius_voxels).masked_fill(~positive, float("-inf")).amax(1)
    mean = (values * positive).sum(1) / positive.sum(1).clamp_min(1)
    known = positive.any(1).view(batch, 1, 1, 1, 1)
    relative = torch.where(known, coarse - mean.view(batch, 1, 1, 1, 1), 0)
    below_peak = torch.where(known, coarse - peak.nan_to_num(neginf=0).view(batch, 1, 1, 1, 1), 0)
    nearest = []
    for sign in (positive, negative):
        closest = torch.full_like(coarse, FAR)
        for n in range(clicks):
            difference = (coarse - values[:, n].view(batch, 1, 1, 1, 1)).abs()
            closest = torch.where(sign[:, n].view(batch, 1, 1, 1, 1), torch.minimum(closest, difference), closest)
        nearest.append(closest)
    return torch.cat([relative, below_peak, *nearest], 1)
