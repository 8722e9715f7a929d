"""What a simulated reader draws, and what a rollout makes of it."""

import pytest
import torch
from tiny_network import TinyNetwork

from seganypet.training import ClickRollout
from seganypet.training.drawn_prompts import DRAWINGS, STROKE_CLICKS, draw_prompt


@pytest.fixture
def target():
    mask = torch.zeros(2, 1, 24, 24, 24, dtype=torch.bool)
    mask[0, 0, 4:12, 6:16, 8:14] = True
    mask[1, 0, 19:, 3:9, 10:20] = True  # reaches the window's face
    return mask


def test_a_box_surrounds_its_target_and_rules_out_the_rest(target):
    for seed in range(20):
        points, logits = draw_prompt("box", target, torch.Generator().manual_seed(seed))
        assert points.shape == (2, 1, 3)
        assert logits.shape == target.shape
        inside = logits == 0
        assert (inside & target).sum() > 0.8 * target.sum()
        assert inside.sum() < 4 * target.sum()
        assert logits[~inside].eq(-3).all()
        for n in range(2):
            assert inside[n, 0][tuple(points[n, 0].round().long())]


def test_a_lasso_speaks_of_one_plane_alone(target):
    for seed in range(20):
        points, logits = draw_prompt("lasso", target, torch.Generator().manual_seed(seed))
        for n in range(2):
            known = logits[n, 0] != 0
            assert min(len(known.nonzero()[:, axis].unique()) for axis in range(3)) == 1
            assert ((logits[n, 0] > 0) & target[n, 0]).sum() > 0.5 * (known & target[n, 0]).sum()
            assert target[n, 0][tuple(points[n, 0].long())] or (logits[n, 0] > 0)[tuple(points[n, 0].long())]


def test_a_stroke_is_some_clicks_on_the_target(target):
    points, logits = draw_prompt("scribble", target, torch.Generator().manual_seed(1))
    assert points.shape == (2, STROKE_CLICKS, 3)
    assert all(target[n, 0][tuple(point.long())] for n in range(2) for point in points[n])
    assert not logits.any()


def test_rollouts_begin_with_drawings_as_often_as_asked(target):
    network = TinyNetwork()
    rollout = ClickRollout(network, clicks=3, random_count=False, drawn_share=1.0, mask_only_share=0.0).train()
    image, seeds = torch.rand(2, 1, 24, 24, 24), torch.tensor([1, 2])
    counts = set()
    for rollout.iteration in range(12):
        rollout(image, target.reshape(2, 1, 24, 24, 24), seeds)
        counts.add(rollout.clicks_made[0].shape[2])
    assert counts == {3, 2 + STROKE_CLICKS}
    rollout.eval()
    rollout(image, target, seeds)
    assert rollout.clicks_made[0].shape[2] == 3
    assert len(DRAWINGS) == 3
