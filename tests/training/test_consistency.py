import math

import pytest
import torch

from seganypet.training.consistency import ConsistencyRamp, consistency_loss, ramp_weight


def test_consistency_by_hand():
    # one target of two voxels: (0.2, 0.6) around 0.4 and (0.5, 0.5): Σᵢ(Ȳ − Ŷᵢ)² = 0.04 + 0.04 and 0
    logits = torch.logit(torch.tensor([[0.2, 0.5], [0.6, 0.5]]))[None, None, :, None, None]
    assert consistency_loss(logits).item() == pytest.approx(0.04)
    assert consistency_loss(logits, "sum").item() == pytest.approx(0.08)


def test_samples_and_targets_are_averaged():
    logits = torch.logit(torch.tensor([[0.2], [0.6]]))[None, None, :, None, None]
    several = logits.repeat(3, 2, 1, 1, 1, 1)
    assert consistency_loss(several).item() == pytest.approx(consistency_loss(logits).item())


def test_one_prompt_agrees_with_itself():
    assert consistency_loss(torch.randn(2, 1, 1, 3, 3, 3)).item() == 0


def test_gradient_does_not_depend_on_holding_the_mean():
    logits = torch.randn(1, 1, 3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    consistency_loss(logits).backward()
    probability = logits.float().sigmoid()
    held = (probability.mean(2, keepdim=True).detach() - probability).square().flatten(3).mean(-1).sum(2).mean()
    (expected,) = torch.autograd.grad(held, logits)
    torch.testing.assert_close(logits.grad, expected)


def test_unknown_reduction():
    with pytest.raises(ValueError, match="mean, sum, got 'max'"):
        consistency_loss(torch.zeros(1, 1, 1, 1, 1, 1), "max")


@pytest.mark.parametrize(
    ("t", "shape", "expected"),
    [
        (0, "exponential", 0.1 * math.exp(-5)),
        (50, "exponential", 0.1 * math.exp(-2.5)),
        (100, "exponential", 0.1),
        (150, "exponential", 0.1),
        (0, "gaussian", 0.1 * math.exp(-5)),
        (50, "gaussian", 0.1 * math.exp(-1.25)),
    ],
)
def test_ramp_by_hand(t, shape, expected):
    assert ramp_weight(t, 100, shape=shape) == pytest.approx(expected)


def test_ramp_carries_its_time_in_its_state():
    ramp = ConsistencyRamp(10)
    for _ in range(4):
        ramp.advance()
    later = ConsistencyRamp(10)
    later.load_state_dict(ramp.state_dict())
    assert later.weight() == ramp.weight() == pytest.approx(0.1 * math.exp(-3))


def test_wrong_ramps_are_named():
    with pytest.raises(ValueError, match="exponential, gaussian, got 'linear'"):
        ConsistencyRamp(10, shape="linear")
    with pytest.raises(ValueError, match="at least 1 iteration, got 0"):
        ConsistencyRamp(0)
