import pytest
import torch
from torch import nn

from seganypet.training.consistency import ConsistencyRamp, consistency_loss
from seganypet.training.losses import DiceCEClickLoss
from seganypet.training.rectification import Rectification
from seganypet.training.strategies import RolloutLabel, make_strategy


class MeanDifference(nn.Module):
    """Mean of p − y: easy to work out by hand."""

    def forward(self, logits, targets):
        return (logits.sigmoid() - targets[:, :, None].float()).mean()


def logits_of(*samples: list[float]) -> torch.Tensor:
    """[B, 1, R, 1, 1, 1] from each sample's R probabilities."""
    return torch.logit(torch.tensor(samples))[:, None, :, None, None, None]


def label_of(targets: list[int], high: list[int]) -> RolloutLabel:
    return RolloutLabel(torch.tensor(targets).bool()[:, None, None, None, None], torch.tensor(high).bool())


def strategy(name: str, iterations: int = 1, t: int = 1, reading: str = "uncertain"):
    ramp = ConsistencyRamp(iterations)
    for _ in range(t):
        ramp.advance()
    return make_strategy(name, MeanDifference(), ramp, Rectification(reading=reading))


LOGITS = [[0.9, 0.7], [0.4, 0.6], [0.8, 1 - 1e-3]]  # the second sample is undecided: Ȳ = 0.5
LABEL = ([1, 1, 0], [1, 0, 0])


def test_fine_tuning_trusts_every_label():
    loss = strategy("finetune")(logits_of(*LOGITS), label_of(*LABEL))
    assert loss.item() == pytest.approx(((0.8 - 1) + (0.5 - 1) + (0.8995 - 0)) / 3, abs=1e-5)


def test_consistency_uses_low_labels_for_clicks_only():
    logits = logits_of(*LOGITS)
    loss = strategy("consistency")(logits, label_of(*LABEL))
    agreement = ((0.1**2 * 2) + (0.0995**2 * 2)) / 2  # the mean over the two low-quality samples
    assert loss.item() == pytest.approx((0.8 - 1) + 0.1 * agreement, abs=1e-5)
    other = label_of([1, 0, 1], LABEL[1])
    assert strategy("consistency")(logits, other).item() == pytest.approx(loss.item())


AGREEMENT = ((0.1**2 * 2) + (0.0995**2 * 2)) / 2  # L_cps, the mean over the two low-quality samples
RECTIFIED = ((0.5 - 0) + (0.8995 - 0)) / 2  # L_L: the undecided sample's 1 became 0; the certain one keeps its 0


@pytest.mark.parametrize(
    ("t", "weight"),
    [(0, 0.1 * 0.00673795), (50, 0.1 * 0.0820850), (100, 0.1)],  # 0.1 · e^−5, e^−2.5, e^0
)
def test_eq_6_by_hand(t, weight):
    # L = L_H + λ (L_cps + β L_L), β = 5
    loss = strategy("cpcl", iterations=100, t=t)(logits_of(*LOGITS), label_of(*LABEL))
    assert loss.item() == pytest.approx((0.8 - 1) + weight * (AGREEMENT + 5 * RECTIFIED), abs=1e-6)


def test_rectified_labels_weigh_little_at_first_and_half_at_the_end():
    logits, label = logits_of(*LOGITS), label_of(*LABEL)
    for t, expected in ((0, 0.00337), (100, 0.5)):
        one, more = (strategy("cpcl", iterations=100, t=t) for _ in range(2))
        more.beta = 10.0
        added = more(logits, label).item() - one(logits, label).item()
        assert added == pytest.approx(expected * RECTIFIED, rel=2e-3)


def test_the_mixture_counts_the_label_as_it_came_twice():
    loss = strategy("cpcl", reading="mixture")(logits_of(*LOGITS), label_of(*LABEL))
    original = ((0.5 - 1) + 0.8995) / 2
    mixed = (2 * original + RECTIFIED) / 3
    assert loss.item() == pytest.approx((0.8 - 1) + 0.1 * (AGREEMENT + 5 * mixed), abs=1e-5)


def test_what_is_left_out_teaches_nothing():
    logits = logits_of(*LOGITS).requires_grad_()
    one = strategy("cpcl", reading="leave_out")
    loss = one(logits, label_of(*LABEL))
    # the undecided sample's voxel counts as a sure and right 0
    assert loss.item() == pytest.approx((0.8 - 1) + 0.1 * (AGREEMENT + 5 * (0 + 0.8995) / 2), abs=1e-5)
    assert one.parts["flipped"].item() == 0
    other = label_of([1, 0, 0], LABEL[1])  # whatever its label says
    assert one(logits, other).item() == pytest.approx(loss.item())


def test_each_part_is_averaged_over_its_own_samples():
    one = strategy("cpcl")
    loss = one(logits_of(*LOGITS, *LOGITS[1:]), label_of([*LABEL[0], *LABEL[0][1:]], [1, 0, 0, 0, 0]))
    assert loss.item() == pytest.approx(strategy("cpcl")(logits_of(*LOGITS), label_of(*LABEL)).item(), abs=1e-5)
    terms = {"supervised_high", "consistency", "supervised_rectified"}
    assert set(one.parts) == terms | {"consistency_weight", "flipped"}
    assert one.parts["consistency_weight"].item() == pytest.approx(0.1)
    assert one.parts["flipped"].item() == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["finetune", "consistency", "cpcl"])
@pytest.mark.parametrize("high", [[1, 1], [0, 0]])
def test_batches_of_one_quality_train(name, high):
    logits = logits_of([0.9, 0.7], [0.4, 0.6]).requires_grad_()
    strategy(name)(logits, label_of([1, 0], high)).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


def test_the_weight_grows_with_time_and_is_saved():
    one = strategy("cpcl", iterations=100, t=0)
    for _ in range(30):
        one.advance()
    other = strategy("cpcl", iterations=100, t=0)
    other.load_state_dict(one.state_dict())
    logits, label = logits_of(*LOGITS), label_of(*LABEL)
    assert other(logits, label).item() == one(logits, label).item()
    assert int(other.ramp.t) == 30


def test_unknown_strategy():
    with pytest.raises(ValueError, match="finetune, consistency, cpcl, got 'mean_teacher'"):
        strategy("mean_teacher")


def test_the_papers_term_adds_up_clicks():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 3, 4, 4, 4, generator=generator)
    targets = torch.rand(2, 1, 4, 4, 4, generator=generator) > 0.5
    loss = DiceCEClickLoss()
    clicks = [loss(logits[:, :, r : r + 1], targets) for r in range(3)]
    assert loss(logits, targets).item() == pytest.approx(sum(clicks).item(), rel=1e-5)
    assert DiceCEClickLoss(per_click=True)(logits, targets).item() == pytest.approx(sum(clicks).item() / 3, rel=1e-5)


def test_the_papers_term_by_hand():
    # p = ½ on 8 voxels, 4 of them target: Dice loss 1 − 2·2 / (8·¼ + 4) = ⅓, cross-entropy ln 2
    targets = torch.zeros(1, 1, 2, 2, 2, dtype=torch.bool)
    targets[..., 0] = True
    assert DiceCEClickLoss()(torch.zeros(1, 1, 1, 2, 2, 2), targets).item() == pytest.approx(1 / 3 + 0.693147, rel=1e-4)


def test_consistency_of_the_batch_is_what_the_strategy_adds():
    logits, label = logits_of([0.2, 0.6]), label_of([1], [0])
    assert strategy("consistency")(logits, label).item() == pytest.approx(0.1 * consistency_loss(logits).item())
