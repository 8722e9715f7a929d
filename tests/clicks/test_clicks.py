import re

import numpy as np
import pytest
import torch

from seganypet.clicks import Box, Click, centre_click, draw_error_click, draw_first_click
from seganypet.clicks.drawing import depth_score, pick_voxel
from seganypet.clicks.prompts import PromptOutsideError, checked_prompt


def test_a_click_is_three_numbers():
    assert Click((1, 2, 3)) == Click((1.0, 2.0, 3.0), True)
    with pytest.raises(ValueError, match="three voxel indices"):
        Click((1, 2))
    with pytest.raises(ValueError, match="must be numbers"):
        Click(("a", 2, 3))


def test_a_click_lies_in_the_voxel_whose_centre_is_nearest():
    assert Click((1.4, 1.6, -0.4)).voxel == (1, 2, 0)
    assert Click((0.5, 1.5, 2.5)).voxel == (1, 2, 3)


@pytest.mark.parametrize(("given", "kept"), [((-1, -0.4, 30), (0, 0, 29)), ((24, 0.3, 5), (23, 0.3, 5))])
def test_a_click_on_the_rim_is_taken_as_on_the_outermost_centre(given, kept):
    assert checked_prompt(Click(given, positive=False), 0, (24, 20, 30)) == Click(kept, positive=False)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (Click((24.1, 0, 0)), "prompt 2, a foreground click [24.1, 0, 0], lies outside the volume of [24, 20, 30]"),
        (Click((0, 0, -1.01), positive=False), "a background click [0, 0, -1.01]"),
        (Click((0, float("nan"), 0)), "[0, nan, 0]"),
        (Box(((0, 2), (0, 2), (28, 31))), "prompt 2, a Box from voxel [0, 0, 28] to before [2, 2, 31]"),
    ],
)
def test_what_leaves_the_volume_is_named(prompt, said):
    with pytest.raises(PromptOutsideError, match=re.escape(said)):
        checked_prompt(prompt, 2, (24, 20, 30))


def test_centre_of_a_cube_then_of_the_larger_error():
    target = np.zeros((12, 12, 12), bool)
    target[2:7, 2:7, 2:7] = True
    nothing = np.zeros_like(target)
    assert centre_click(nothing, target) == Click((4, 4, 4))
    prediction = target.copy()
    prediction[4, 4, 4] = False  # one missed voxel
    prediction[8:11, 8:11, 8:11] = True  # 27 false ones
    assert centre_click(prediction, target) == Click((9, 9, 9), positive=False)
    assert centre_click(target, target) is None


def test_centre_respects_spacing():
    target = np.zeros((9, 9, 3), bool)
    target[1:8, 4, 1] = True
    assert centre_click(np.zeros_like(target), target, (1.0, 1.0, 1.0)).ijk[1:] == (4, 1)


def test_pick_voxel_inverts_the_cumulative_weights():
    weights = torch.zeros(1, 1, 2, 2, 2)
    weights[0, 0, 0, 1, 1] = 1  # flat 3
    weights[0, 0, 1, 0, 1] = 3  # flat 5
    assert pick_voxel(weights, torch.tensor([0.2])).tolist() == [[0, 1, 1]]
    assert pick_voxel(weights, torch.tensor([0.3])).tolist() == [[1, 0, 1]]
    assert pick_voxel(torch.zeros(1, 1, 2, 2, 2), torch.tensor([0.3])).shape == (1, 3)


def test_depth_is_greatest_in_the_middle():
    mask = torch.zeros(1, 1, 15, 15, 15, dtype=torch.bool)
    mask[..., 3:12, 3:12, 3:12] = True
    score = depth_score(mask)
    deepest = torch.tensor(np.unravel_index(int(score.argmax()), (15, 15, 15)))
    assert (deepest - 7).abs().max() <= 1
    assert score[0, 0, 3, 3, 3] < 0.5
    assert score[~mask].eq(0).all()


@pytest.mark.parametrize("kind", [0.1, 0.6, 0.9])
def test_first_clicks_fall_on_their_target(kind):
    target = torch.zeros(2, 1, 8, 8, 8, dtype=torch.bool)
    target[0, 0, 1:4, 1:4, 1:4] = True
    target[1, 0, 5:8, 5:8, 5:8] = True
    image = torch.rand(2, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    for where in (0.0, 0.5, 0.999):
        points = draw_first_click(target, image, torch.tensor([[kind, where]] * 2)).long()
        for b in range(2):
            assert target[b, 0, *points[b]]


def test_error_clicks_carry_the_sign_of_the_error():
    target = torch.zeros(3, 1, 8, 8, 8, dtype=torch.bool)
    target[:, :, 2:5, 2:5, 2:5] = True
    prediction = target.clone()
    prediction[0] = False  # everything missed
    prediction[1, 0, 6, 6, 6] = True  # one false voxel
    points, labels = draw_error_click(prediction, target, torch.full((3, 2), 0.5))
    assert labels.tolist() == [1, 0, -1]
    assert target[0, 0, *points[0].long()]
    assert points[1].tolist() == [6, 6, 6]


def test_the_papers_simulation_draws_any_wrong_voxel_alike():
    target = torch.zeros(1, 1, 8, 8, 8, dtype=torch.bool)
    target[..., 0:4, 0:4, 0:4] = True
    prediction = torch.zeros_like(target)
    prediction[..., 0:4, 0:4, 0:2] = True  # 32 voxels are missed
    numbers = torch.arange(32) / 32 + 1 / 64
    drawn = [
        tuple(draw_error_click(prediction, target, torch.tensor([[0.1, u]]), 0.0)[0][0].int().tolist()) for u in numbers
    ]
    assert len(set(drawn)) == 32  # each once, at even steps of the uniform number
    assert all(k in (2, 3) for _, _, k in drawn)


def test_a_first_click_on_even_uptake_lies_on_the_target():
    target = torch.zeros(64, 1, 8, 8, 8, dtype=torch.bool)
    target[:, :, 2:5, 3:6, 1:4] = True
    uniform = torch.rand((64, 2), generator=torch.Generator().manual_seed(0))
    places = draw_first_click(target, torch.ones(target.shape), uniform).long()
    assert all(target[n, 0][tuple(place)] for n, place in enumerate(places))
