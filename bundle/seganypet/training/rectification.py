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
READINGS = ("uncertain", "disagreeing", "confident", "leave_out", "mixture")
ORIGINAL_SHARE = 2 / 3  # of the released code's loss on low-quality labels that is on the label as it came


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


class Rectification:
    """What a low-quality label teaches once its doubtful voxels are known, by one reading of the paper.

    - "uncertain": eq. 5 to the letter, flipped wherever U > H, whatever the prediction says.
    - "disagreeing": flipped where U > H and the mean prediction also contradicts the label.
    - "confident": flipped where the mean prediction contradicts the label and U < H: the prompts' agreement against a
      label, not their doubt, is the sign that it is wrong, as in confident learning, which the method is named after.
    - "leave_out": nothing is flipped; voxels with U > H are left out of L_L.
    - "mixture": eq. 5's flips, and the loss on the label as it came counts two parts in three beside the rectified
      one's third, as the released code weighs them: the reading of Algorithm 1's line 15, which names Y and Y_rec.

    Whether eq. 5 helps is a matter of arithmetic. Where label errors are independent of a calibrated prediction, a flip
    in a voxel is right exactly as often as its label is wrong there; below one half it harms, whatever H is.

    Args:
        uncertainty: "entropy", of the mean probability (eq. 4), or "variance", of the logits, as the released code has
            it: unbounded, so that a certain network with large logits can still count as uncertain.
        threshold: H. The paper does not give it; 0.9·ln 2 flips where Ȳ lies between 0.32 and 0.68. "mean", each
            map's own mean, is the released code's: over a window of mostly certain voxels it flips every border.
        reading: one of those above.

    Raises:
        ValueError: none of these, or an entropy threshold outside [0, ln 2].
    """

    def __init__(
        self, *, uncertainty: str = "entropy", threshold: float | str = 0.9 * LN2, reading: str = "uncertain"
    ) -> None:
        if uncertainty not in UNCERTAINTIES:
            raise ValueError(f"uncertainty must be one of {', '.join(UNCERTAINTIES)}, got {uncertainty!r}")
        if reading not in READINGS:
            raise ValueError(f"reading must be one of {', '.join(READINGS)}, got {reading!r}")
        if isinstance(threshold, str) and threshold != "mean":
            raise ValueError(f"threshold must be a number or 'mean', got {threshold!r}")
        if uncertainty == "entropy" and not isinstance(threshold, str) and not 0 <= threshold <= LN2:
            raise ValueError(f"an entropy lies in 0 to ln 2 = {LN2:.3f}, got threshold {threshold}")
        self.uncertainty = uncertainty
        self.threshold = threshold
        self.reading = reading

    @torch.no_grad()
    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        """The rectified label.

        Args:
            logits: [B, T, R, S, S, S], of R prompts on the same targets.
            label: [B, T, S, S, S] bool.

        Returns:
            [B, T, S, S, S] bool.
        """
        if self.reading == "leave_out":
            return label
        probability, doubtful = self._doubtful(logits)
        flips = ~doubtful if self.reading == "confident" else doubtful
        if self.reading in ("disagreeing", "confident"):
            flips = flips & ((probability > 0.5) != label)
        return rectify(label, flips)

    @torch.no_grad()
    def left_out(self, logits: Tensor) -> Tensor | None:
        """[B, T, S, S, S] bool, the voxels that teach nothing; None where all of them do."""
        return self._doubtful(logits)[1] if self.reading == "leave_out" else None

    @property
    def original_share(self) -> float:
        """How much of the loss on low-quality labels is on the label as it came, 0 to 1."""
        return ORIGINAL_SHARE if self.reading == "mixture" else 0.0

    def _doubtful(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Ȳ, and where U > H; both [B, T, S, S, S]."""
        logits = logits.float()
        probability = mean_probability(logits)
        doubt = entropy(probability) if self.uncertainty == "entropy" else logit_variance(logits)
        limit = doubt.mean(dim=(-3, -2, -1), keepdim=True) if isinstance(self.threshold, str) else self.threshold
        return probability, doubt > limit
