"""A training step in the shape of the released SegAnyPET script, to measure ours beside.

Written from the description of that script (which does not run): 11 decodes with a gradient each, clicks drawn on the
CPU uniformly over the wrong voxels, the newest alone sent, one middle and the last decode without a click, logits fed
back undetached, Dice and cross-entropy summed over the decodes, and an encoder that computes its padding.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from monai.losses import DiceCELoss
from torch import Tensor

from seganypet.networks.padded_encoder import padded_encode
from seganypet.networks.vit_b import SegAnyPETNetwork

CLICKS = 11


def released_loss(net: SegAnyPETNetwork, image: Tensor, target: Tensor, random: np.random.Generator) -> Tensor:
    """The loss of one batch, its graph with it.

    Args:
        net: `vit_b`.
        image: [B, 1, 128, 128, 128].
        target: [B, 1, 128, 128, 128] bool.
        random: draws the clicks.
    """
    loss_of = DiceCELoss(sigmoid=True, squared_pred=True)
    embedding = padded_encode(net.image_encoder, image)
    low_res = image.new_zeros(len(image), 1, *(n // net.logit_stride for n in image.shape[2:]))
    prediction = torch.zeros_like(image)
    total = image.new_zeros(())
    without_click = {int(random.integers(1, CLICKS - 1)), CLICKS - 1}
    for step in range(CLICKS):
        points, labels = (None, None) if step in without_click else error_clicks(prediction, target, random)
        low_res = net.decode(embedding, points, labels, low_res)
        prediction = F.interpolate(low_res, size=image.shape[2:], mode="trilinear", align_corners=False)
        total = total + loss_of(prediction, target.float())
    return total


def error_clicks(prediction: Tensor, target: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One click a sample, [B, 1, 3] and [B, 1], anywhere on what is missed or too much."""
    points, labels = [], []
    for guess, truth in zip((prediction > 0).cpu().numpy()[:, 0], target.cpu().numpy()[:, 0], strict=True):
        wrong = np.argwhere(guess != truth)
        point = wrong[random.integers(len(wrong))] if len(wrong) else np.zeros(3, int)
        points.append(point.tolist())
        labels.append(float(truth[tuple(point)]))
    device = prediction.device
    return (
        torch.tensor(points, dtype=torch.float32, device=device)[:, None],
        torch.tensor(labels, device=device)[:, None],
    )
