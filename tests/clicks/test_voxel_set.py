import numpy as np
import pytest

from seganypet.clicks import InitialMask, VoxelSet
from seganypet.clicks.voxel_set import smallest_box

BOX = (slice(2, 4), slice(1, 2), slice(3, 4))


@pytest.fixture
def mask():
    mask = np.zeros((6, 5, 4), bool)
    mask[BOX] = True
    return mask


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_smallest_box_by_hand(mask, order):
    mask = np.asarray(mask, order=order)
    assert smallest_box(mask) == BOX
    assert smallest_box(mask, (slice(1, 6), slice(0, 3), slice(0, 4))) == BOX
    assert smallest_box(mask, (slice(4, 6), slice(0, 3), slice(0, 4))) is None
    assert smallest_box(mask & False) is None
    assert smallest_box(~mask) == (slice(0, 6), slice(0, 5), slice(0, 4))


def test_the_smallest_box_holds_every_voxel_and_touches_one_on_each_face():
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = np.zeros((9, 8, 7), bool)
        places = rng.integers(0, (9, 8, 7), (rng.integers(1, 6), 3))
        mask[tuple(places.T)] = True
        low, high = places.min(0), places.max(0) + 1
        assert smallest_box(mask) == tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def test_voxels_come_back_on_a_volumes_grid(mask):
    voxels = VoxelSet.of(mask)
    for order in ("C", "F"):
        there = voxels.on(mask.shape, order)
        assert np.array_equal(there, mask)
        assert there.flags[f"{order}_CONTIGUOUS"]
    assert np.array_equal(InitialMask(voxels).on(mask.shape), mask)
    assert not InitialMask(None).on(mask.shape).any()
