"""What a simulated reader draws at an error."""

import numpy as np
import pytest

from seganypet.clicks import Box, Click, Lasso, Scribble, centre_click
from seganypet.clicks.simulated_reader import next_prompt

SHAPE, SPACING = (30, 28, 20), (2.0, 2.0, 3.0)


def block(i, j, k):
    mask = np.zeros(SHAPE, bool)
    mask[slice(*i), slice(*j), slice(*k)] = True
    return mask


TARGET = block((5, 15), (8, 14), (4, 8))
NOTHING = np.zeros(SHAPE, bool)


def drawn(prompt):
    return prompt.voxels.on(SHAPE)


def test_clicks_are_the_protocols():
    assert next_prompt("click", 0, NOTHING, TARGET, SPACING) == centre_click(NOTHING, TARGET, SPACING)


def test_a_box_is_drawn_once_and_clicks_follow():
    # a voxel and a twentieth of 10, 6 and 4, rounded, off each face
    assert next_prompt("box", 0, NOTHING, TARGET, SPACING) == Box(((4, 16), (7, 15), (3, 9)))
    assert isinstance(next_prompt("box", 1, NOTHING, TARGET, SPACING), Click)
    assert next_prompt("box", 0, TARGET, NOTHING, SPACING) is None
    assert next_prompt("box", 0, NOTHING, block((0, 30), (0, 28), (0, 20)), SPACING) == Box(((0, 30), (0, 28), (0, 20)))


def test_a_lasso_surrounds_the_error_in_one_plane():
    prompt = next_prompt("lasso", 0, NOTHING, TARGET, SPACING)
    assert isinstance(prompt, Lasso)
    assert prompt.positive
    mask = drawn(prompt)
    assert mask.any((0, 1)).sum() == 1
    plane = int(np.flatnonzero(mask.any((0, 1)))[0])
    assert (TARGET[..., plane] & ~mask[..., plane]).sum() == 0
    assert mask.sum() == 10 * 6 + 2 * (10 + 6)  # a voxel wider on each side
    too_much = next_prompt("lasso", 1, TARGET | block((20, 29), (20, 27), (10, 16)), TARGET, SPACING)
    assert not too_much.positive
    assert drawn(too_much)[20:29, 20:27].any()
    assert drawn(next_prompt("lasso", 0, NOTHING, block((0, 5), (0, 5), (0, 3)), SPACING)).any()  # at the volume's edge


def test_a_stroke_runs_along_the_error_inside_it():
    prompt = next_prompt("scribble", 0, NOTHING, TARGET, SPACING)
    assert isinstance(prompt, Scribble)
    mask = drawn(prompt)
    assert not (mask & ~TARGET).any()
    assert mask.sum() == 6  # of 10 rows along i the outer two on each side are left out
    assert set(np.argwhere(mask)[:, 0]) == set(range(7, 13))
    assert not next_prompt("scribble", 3, block((5, 25), (8, 14), (4, 8)), TARGET, SPACING).positive


@pytest.mark.parametrize("reader", ["click", "lasso", "scribble"])
def test_nothing_is_drawn_where_nothing_is_wrong(reader):
    assert next_prompt(reader, 1, TARGET, TARGET, SPACING) is None


def test_another_reader_is_named():
    with pytest.raises(ValueError, match="click, box, lasso, scribble, got 'pen'"):
        next_prompt("pen", 0, NOTHING, TARGET, SPACING)
