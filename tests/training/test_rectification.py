import math

import pytest
import torch

from seganypet.training.rectification import (
    LN2,
    Rectification,
    entropy,
    logit_variance,
    mean_probability,
    rectify,
)


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def rollout(*voxels: list[float]) -> torch.Tensor:
    """[1, 1, R, 1, 1, V] logits from each voxel's R probabilities."""
    probabilities = torch.tensor(voxels, dtype=torch.float64).T  # [R, V]
    return torch.logit(probabilities)[None, None, :, None, None]


def bools(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.bool)[None, None, None, None]


def test_mean_is_of_probabilities_not_logits():
    mean = mean_probability(rollout([0.9, 0.5, 0.1], [0.99, 0.99, 0.5]))
    assert mean.flatten().tolist() == pytest.approx([0.5, (0.99 + 0.99 + 0.5) / 3])


def test_entropy_by_hand():
    values = entropy(torch.tensor([0.0, 0.25, 0.5, 1.0]))
    quarter = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))  # 0.5623 nats
    assert values.tolist() == pytest.approx([0, quarter, math.log(2), 0])


def test_variance_is_of_logits_over_n():
    logits = torch.tensor([1.0, 3.0])[None, None, :, None, None, None]
    assert logit_variance(logits).item() == pytest.approx(1.0)  # deviations −1 and 1, halved


def test_flipped_where_told():
    assert rectify(bools(1, 1, 0, 0), bools(1, 0, 1, 0)).flatten().tolist() == [False, True, True, False]


def test_default_threshold_flips_between_032_and_068():
    # H(0.316) = 0.9 ln 2; the label is flipped where 0.316 < Ȳ < 0.684 whatever it says
    logits = rollout([0.31], [0.32], [0.5], [0.68], [0.69])
    rectified = Rectification()(logits, bools(1, 1, 0, 0, 0))
    assert rectified.flatten().tolist() == [True, False, True, True, False]


def test_disagreeing_keeps_what_the_prediction_confirms():
    logits = rollout([0.4], [0.6], [0.4], [0.6])
    label = bools(1, 1, 0, 0)
    assert Rectification()(logits, label).flatten().tolist() == [False, False, True, True]
    assert Rectification(reading="disagreeing")(logits, label).flatten().tolist() == [False, True, False, True]


def test_confident_flips_what_all_prompts_contradict():
    logits = rollout([0.05], [0.4], [0.95], [0.6], [0.05])
    rectified = Rectification(reading="confident", threshold=0.5 * LN2)(logits, bools(1, 1, 0, 0, 0))
    assert rectified.flatten().tolist() == [False, True, True, False, False]  # H(0.05) = 0.199 < 0.347 < H(0.4)


def test_released_code_flips_above_the_maps_own_mean():
    # logits ±2, ±1, 0: variances 4, 1, 0, mean 5/3; only the first voxel is above
    logits = torch.tensor([[2.0, 1.0, 0.0], [-2.0, -1.0, 0.0]])[None, None, :, None, None]
    rectified = Rectification(uncertainty="variance", threshold="mean")(logits, bools(0, 0, 0))
    assert rectified.flatten().tolist() == [True, False, False]


def test_mean_threshold_is_each_targets_own():
    certain, unsure = torch.full((1, 1, 1, 1, 1, 2), 9.0), torch.zeros(1, 1, 1, 1, 1, 2)
    certain[..., 0] = 3.0  # more entropy than its neighbour, though little
    both = torch.cat([certain, unsure], 1)
    rectified = Rectification(threshold="mean")(both, torch.zeros(1, 2, 1, 1, 2, dtype=torch.bool))
    assert rectified.flatten().tolist() == [True, False, False, False]


def test_rectified_labels_carry_no_gradient():
    logits = torch.zeros(1, 1, 2, 1, 1, 1, requires_grad=True)
    assert not Rectification()(logits, bools(1)).requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"uncertainty": "std"}, "entropy, variance, got 'std'"),
        ({"threshold": "median"}, "a number or 'mean', got 'median'"),
        ({"threshold": 0.9}, r"0 to ln 2 = 0\.693"),
        ({"reading": "never"}, "uncertain, disagreeing, confident, leave_out, mixture, got 'never'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Rectification(**options)


def test_threshold_may_be_the_highest_entropy():
    assert not Rectification(threshold=LN2)(rollout([0.4], [0.6]), bools(0, 0)).any()
