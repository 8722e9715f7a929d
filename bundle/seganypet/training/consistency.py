"""Predictions of one target under different prompts should agree (CPCL, eq. 3), more so as training goes on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

VOXELS = ("mean", "sum")
RAMPS = ("exponential", "gaussian")


def consistency_loss(logits: Tensor, voxels: str = "mean") -> Tensor:
    """L_cps of eq. 3, Σᵢ ‖Ȳ − Ŷᵢ‖² over the prompts i, averaged over samples and targets.

    The deviations from a mean add up to nothing, so the gradient is the same whether Ȳ is held fixed or not.

    Args:
        logits: [B, T, R, S, S, S] of R prompts; Ŷᵢ are their sigmoids.
        voxels: the squared norm as the "mean" over voxels, or as their "sum": as printed, where 128³ voxels would swamp
            a Dice term.

    Returns:
        A scalar; 0 for one prompt.

    Raises:
        ValueError: `voxels` is neither.
    """
    if voxels not in VOXELS:
        raise ValueError(f"voxels must be one of {', '.join(VOXELS)}, got {voxels!r}")
    probability = logits.float().sigmoid()  # [B, T, R, S, S, S]
    deviation = (probability.mean(2, keepdim=True) - probability).square().flatten(3)
    return (deviation.mean(-1) if voxels == "mean" else deviation.sum(-1)).sum(2).mean()


def ramp_weight(t: int, t_max: int, *, highest: float = 0.1, decay: float = 5.0, shape: str = "exponential") -> float:
    """λ(t) = ω_max · e^(−5 (1 − t / t_max)), which eq. 6 weighs both terms of low-quality labels with (appendix B.2).

    The 5 in the exponent is another constant than β, which eq. 6 weighs the rectified term with, and which is 5, too.

    Args:
        t: iterations done; beyond `t_max` the weight stays at its highest.
        t_max: iterations of the whole training.
        highest: ω_max.
        decay: the exponent's constant.
        shape: "exponential", as the paper prints it, or "gaussian", with (1 − t / t_max) squared, as it calls it.

    Raises:
        ValueError: another shape, or `t_max` below 1.
    """
    if shape not in RAMPS:
        raise ValueError(f"shape must be one of {', '.join(RAMPS)}, got {shape!r}")
    if t_max < 1:
        raise ValueError(f"t_max must be at least 1 iteration, got {t_max}: are there epochs?")
    left = 1 - min(max(t, 0), t_max) / t_max
    return highest * math.exp(-decay * (left**2 if shape == "gaussian" else left))


class ConsistencyRamp(torch.nn.Module):
    """λ as it grows; t is a buffer, so that a checkpoint of the strategy holds it.

    Args:
        iterations: t_max.
        highest: ω_max.
        decay: the exponent's constant.
        shape: see `ramp_weight`.
    """

    t: Tensor

    def __init__(
        self, iterations: int, *, highest: float = 0.1, decay: float = 5.0, shape: str = "exponential"
    ) -> None:
        super().__init__()
        self.iterations = iterations
        self.highest = highest
        self.decay = decay
        self.shape = shape
        ramp_weight(0, iterations, shape=shape)  # says what is wrong before training begins
        self.register_buffer("t", torch.tensor(0))

    def weight(self) -> float:
        """λ now."""
        return ramp_weight(int(self.t), self.iterations, highest=self.highest, decay=self.decay, shape=self.shape)

    def advance(self) -> None:
        """One iteration is done."""
        self.t += 1
