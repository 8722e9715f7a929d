"""Features and the farthest first, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from seganypet.selection import farthest_first, uptake_features


def test_features_count_millilitres_above_each_threshold():
    field = np.zeros((4, 4, 4))
    field[0, 0, :] = (1.5, 3, 6, 30)  # 4, 4, 3, 2, 1, 1 voxels above 0.3, 1, 2.5, 5, 10, 20
    assert uptake_features(field, 2.0) == pytest.approx(np.log2([9, 9, 7, 5, 3, 3]))
    assert uptake_features(field * 0, 2.0) == (0,) * 6


def test_twice_as_much_is_one_apart():
    field = np.full((10, 10, 10), 3.0)
    first, second = uptake_features(field, 1.0), uptake_features(np.concatenate([field, field]), 1.0)
    assert np.subtract(second, first)[:3] == pytest.approx(1, abs=0.01)


def test_the_farthest_from_what_is_labelled_comes_first():
    # on a line: 0 is labelled; 10 is farthest; then 5, which lies 5 from both; then 2
    assert farthest_first([[2], [10], [5], [9]], [[0]], 4) == [1, 2, 0, 3]


def test_without_anything_labelled_the_most_unusual_comes_first():
    assert farthest_first([[1], [2], [3], [20]], [], 2) == [3, 0]


def test_three_groups_are_all_seen_in_three_choices():
    random = np.random.default_rng(0)
    centres = np.array([[0, 0], [10, 0], [0, 10]])
    group = np.repeat([0, 1, 2], 5)
    points = centres[group] + random.normal(0, 0.5, (15, 2))
    assert sorted(group[farthest_first(points.tolist(), [], 3)]) == [0, 1, 2]


@pytest.mark.parametrize(("features", "count", "expected"), [([], 3, []), ([[1.0]], 3, [0]), ([[1], [1]], 2, [0, 1])])
def test_fewer_than_asked_for_and_equal_ones(features, count, expected):
    assert farthest_first(features, [], count) == expected
