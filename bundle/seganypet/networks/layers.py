"""Small layers that encoder and decoder share."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LayerNorm3d(nn.Module):
    """Layer normalisation over the channels of [B, C, D, H, W], voxel by voxel.

    Args:
        channels: size of dimension 1.
        eps: added to the variance; 1e-6 in the released checkpoints.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        channels_last = x.movedim(1, -1)  # [B, D, H, W, C]
        return F.layer_norm(channels_last, self.weight.shape, self.weight, self.bias, self.eps).movedim(-1, 1)


class MLP(nn.Module):
    """Linear layers with ReLU between them: the decoder's hyper-networks and its IoU head.

    Args:
        sizes: input, hidden and output widths; one linear layer fewer than there are sizes.
    """

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, following) for width, following in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class FeedForward(nn.Module):
    """Two linear layers with an activation between them, as both transformers use it.

    Args:
        width: input and output width.
        hidden: width between the two layers.
        activation: module applied between them.
    """

    def __init__(self, width: int, hidden: int, activation: nn.Module) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)
        self.act = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(self.act(self.lin1(x)))


def activation_named(name: str) -> nn.Module:
    """The activation that a constructor's numbers name.

    Raises:
        ValueError: a name other than "GELU(erf)" or "ReLU".
    """
    known = {"GELU(erf)": nn.GELU, "ReLU": nn.ReLU}
    if name not in known:
        raise ValueError(f"activation must be one of {', '.join(known)}, got {name!r}")
    return known[name]()
