"""Which voxels of a low-quality label a network's own disagreement calls wrong, and the label with those flipped.

CPCL (ICCV 2025, arXiv 2502.14351) looks at one target's predictions Ŷ₁ … Ŷₙ under n prompts: where their mean Ȳ is
undecided, the label is distrusted.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LN2 = math.log(2)  # the highest entropy of two classes, in nats
UNCERTAINTIES = ("entropy", "variance")
FLIPS = ("uncertain", "disagreeing", "confident")


def mean_probability(logits: Tensor) -> Tensor:
    """Ȳ, the mean over the prompts of the predicted probabilities; logits [..., R, D, H, W] → [..., D, H, W]."""
    return logits.sigmoid().mean(-4)


def entropy(probability: Tensor) -> Tensor:
    """U of eq. 4: the entropy over {background, foreground} in nats, 0 where certain, ln 2 at ½; same shape."""
    return torch.special.entr(probability) + torch.special.entr(1 - probability)


def logit_variance(logits: Tensor) -> Tensor:
    """The released code's uncertainty, the variance (over n) of the logits; [..., R, D, H, W] → [..., D, H, W]."""
    return logits.var(-4, correction=0)


def rectify(label: Tensor, flips: Tensor) -> Tensor:
    """Y_rec of eq. 5: 1 − Y where flipped, Y elsewhere; both [..., D, H, W] bool."""
    return label ^ flips


def flips_that_correct(label: Tensor, rectified: Tensor, clean: Tensor) -> float:
    """The share of flipped voxels that are right afterwards, 0 to 1; NaN where nothing was flipped.

    The diagnostic of the method: it needs the clean label, which phantoms have.

    Args:
        label: the noisy label, bool.
        rectified: the label after flipping, bool.
        clean: the true label, bool, all of one shape.
    """
    flipped = label != rectified
    count = int(flipped.sum())
    return int((flipped & (rectified == clean)).sum()) / count if count else math.nan


class Rectification:
    """Labels with their doubtful voxels flipped.

    Args:
        uncertainty: "entropy", of the mean probability (eq. 4), or "variance", of the logits, as the released code has
            it: unbounded, so that a certain network with large logits can still count as uncertain.
        threshold: H. The paper does not give it; 0.9·ln 2 flips where Ȳ lies between 0.32 and 0.68. "mean", each
            map's own mean, is the released code's: over a window of mostly certain voxels it flips every border.
        flip: "uncertain", wherever U > H, whatever the prediction says (eq. 5 to the letter); "disagreeing", only
            where the mean prediction also contradicts the label: the letter flips right voxels as readily as wrong;
            or "confident", where it contradicts the label and U < H: the reverse of eq. 5, which takes the prompts'
            agreement against a label, not their doubt, as the sign that the label is wrong.

    Raises:
        ValueError: none of these, or an entropy threshold outside [0, ln 2].
    """

    def __init__(
        self, *, uncertainty: str = "entropy", threshold: float | str = 0.9 * LN2, flip: str = "uncertain"
    ) -> None:
        if uncertainty not in UNCERTAINTIES:
            raise ValueError(f"uncertainty must be one of {', '.join(UNCERTAINTIES)}, got {uncertainty!r}")
        if flip not in FLIPS:
            raise ValueError(f"flip must be one of {', '.join(FLIPS)}, got {flip!r}")
        if isinstance(threshold, str) and threshold != "mean":
            raise ValueError(f"threshold must be a number or 'mean', got {threshold!r}")
        if uncertainty == "entropy" and not isinstance(threshold, str) and not 0 <= threshold <= LN2:
            raise ValueError(f"an entropy lies in 0 to ln 2 = {LN2:.3f}, got threshold {threshold}")
        self.uncertainty = uncertainty
        self.threshold = threshold
        self.flip = flip

    @torch.no_grad()
    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        """The rectified label.

        Args:
            logits: [B, T, R, S, S, S], of R prompts on the same targets.
            label: [B, T, S, S, S] bool.

        Returns:
            [B, T, S, S, S] bool.
        """
        logits = logits.float()
        probability = mean_probability(logits)
        doubt = entropy(probability) if self.uncertainty == "entropy" else logit_variance(logits)
        limit = doubt.mean(dim=(-3, -2, -1), keepdim=True) if isinstance(self.threshold, str) else self.threshold
        flips = doubt < limit if self.flip == "confident" else doubt > limit
        if self.flip != "uncertain":
            flips &= (probability > 0.5) != label
        return rectify(label, flips)
