"""What is learned from labels of two qualities: the three strategies of CPCL's ablation (ICCV 2025, Table 3)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from seganypet.training.consistency import ConsistencyRamp, consistency_loss
from seganypet.training.rectification import Rectification

STRATEGIES = ("finetune", "consistency", "cpcl")
SURE_NO = -30.0  # a logit whose probability, 1e-13, is lost in any sum here


TargetIds = tuple[tuple[tuple[int, int], ...], ...]


class RolloutLabel(NamedTuple):
    """What a rollout's logits are compared to.

    Args:
        targets: [B, T, S, S, S] bool.
        high_quality: [B] bool, whether an expert checked the sample's label.
        which: of each sample's targets, B × T, the study's number and its own in that; none where nobody asks.
    """

    targets: Tensor
    high_quality: Tensor
    which: TargetIds = ()


class Strategy(nn.Module, ABC):
    """A loss on rollouts, shared by `finetune`, `consistency` and `cpcl`.

    Attributes:
        parts: the last loss's terms by name, detached, for logs; those that had no sample are absent.
    """

    def __init__(self, supervised: nn.Module) -> None:
        super().__init__()
        self.supervised = supervised
        self.parts: dict[str, Tensor] = {}

    def forward(self, logits: Tensor, label: RolloutLabel) -> Tensor:
        """The loss of a batch.

        Args:
            logits: [B, T, R, S, S, S].
            label: targets and qualities of the B samples.

        Returns:
            A scalar: the sum of the terms, each averaged over its own samples.
        """
        terms = self.terms(logits, label)
        self.parts = {name: term.detach() for name, (term, _) in terms.items()}
        return sum((weight * term for term, weight in terms.values()), start=logits.sum() * 0)  # type: ignore[return-value]

    @abstractmethod
    def terms(self, logits: Tensor, label: RolloutLabel) -> dict[str, tuple[Tensor, float]]:
        """Each term with its weight."""

    def advance(self) -> None:
        """One iteration is done."""


class FineTune(Strategy):
    """L_seg on every label, whatever its quality.

    Args:
        supervised: L_seg, (logits [B, T, R, S, S, S], targets [B, T, S, S, S]) → scalar.
    """

    def terms(self, logits: Tensor, label: RolloutLabel) -> dict[str, tuple[Tensor, float]]:
        return {"supervised": (self.supervised(logits, label.targets), 1.0)}


class Consistency(Strategy):
    """L_seg on high-quality labels, λ·L_cps on the others, whose labels then only told where to click.

    Args:
        supervised: L_seg.
        ramp: λ.
        voxels: how L_cps adds up voxels, see `consistency_loss`.
    """

    def __init__(self, supervised: nn.Module, ramp: ConsistencyRamp, *, voxels: str = "mean") -> None:
        super().__init__(supervised)
        self.ramp = ramp
        self.voxels = voxels

    def terms(self, logits: Tensor, label: RolloutLabel) -> dict[str, tuple[Tensor, float]]:
        high = label.high_quality
        terms: dict[str, tuple[Tensor, float]] = {}
        if high.any():
            terms["supervised_high"] = (self.supervised(logits[high], label.targets[high]), 1.0)
        if not high.all():
            weight = self.ramp.weight()
            terms["consistency"] = (consistency_loss(logits[~high], self.voxels), weight)
            terms["consistency_weight"] = (logits.new_tensor(weight), 0.0)
        return terms

    def advance(self) -> None:
        self.ramp.advance()


class CPCL(Consistency):
    """Cross prompting confident learning, eq. 6: L = L_H + λ (L_cps + β L_L).

    λ grows from 0.0007 to 0.1 and β is 5, so that rectified labels weigh from 0.003 to 0.5 of expert ones. What the
    paper leaves open is decided here as its text supports best:

    - L_L is on the rectified label instead of the noisy one, as section 3.3 has it; line 15 of Algorithm 1 also names
      the noisy one: the reading "mixture".
    - H has no value: see `Rectification`.
    - Ȳ and U are over the decodes of the n_pt clicks (line 9). A decode without a click is none of the algorithm's:
      train.json makes none with this strategy (`mask_only_share`), since it would stand in the mean. Nor does it begin
      one with a handed-over answer or a drawing made of the label: Ŷ₀ is all zero (line 4).
    - Gradients stop between decodes: Ŷᵢ₋₁ enters line 7 as a prompt, of which no derivative is taken.

    Args:
        supervised: L_seg.
        ramp: λ.
        rectification: Y → Y_rec.
        beta: β.
        voxels: how L_cps adds up voxels, see `consistency_loss`.
    """

    def __init__(
        self,
        supervised: nn.Module,
        ramp: ConsistencyRamp,
        rectification: Rectification,
        *,
        beta: float = 5.0,
        voxels: str = "mean",
    ) -> None:
        super().__init__(supervised, ramp, voxels=voxels)
        self.rectification = rectification
        self.beta = beta

    def terms(self, logits: Tensor, label: RolloutLabel) -> dict[str, tuple[Tensor, float]]:
        terms = super().terms(logits, label)
        low = ~label.high_quality
        if low.any():
            rectified = self.rectification(logits[low], label.targets[low])
            weight = self.ramp.weight() * self.beta
            terms["supervised_rectified"] = (self._rectified_loss(logits[low], label.targets[low], rectified), weight)
            terms["flipped"] = ((rectified != label.targets[low]).float().mean(), 0.0)
        return terms

    def _rectified_loss(self, logits: Tensor, label: Tensor, rectified: Tensor) -> Tensor:
        """L_L."""
        left_out = self.rectification.left_out(logits)
        if left_out is not None:  # a sure and right "no" adds nothing to Dice nor to cross-entropy
            rectified = rectified & ~left_out
            logits = logits.masked_fill(left_out[:, :, None], SURE_NO)
        loss, original = self.supervised(logits, rectified), self.rectification.original_share
        return (1 - original) * loss + original * self.supervised(logits, label) if original else loss


def make_strategy(
    name: str,
    supervised: nn.Module,
    ramp: ConsistencyRamp,
    rectification: Rectification,
    *,
    beta: float = 5.0,
    consistency_voxels: str = "mean",
) -> Strategy:
    """The strategy that a config names.

    Args:
        name: one of `STRATEGIES`.
        supervised: L_seg.
        ramp: λ, for the latter two.
        rectification: for `cpcl`.
        beta: β of eq. 6, for `cpcl`.
        consistency_voxels: see `consistency_loss`.

    Raises:
        ValueError: another name.
    """
    if name == "finetune":
        return FineTune(supervised)
    if name == "consistency":
        return Consistency(supervised, ramp, voxels=consistency_voxels)
    if name == "cpcl":
        return CPCL(supervised, ramp, rectification, beta=beta, voxels=consistency_voxels)
    raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {name!r}")
