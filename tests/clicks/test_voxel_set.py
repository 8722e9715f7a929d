import numpy as np
import pytest

from seganypet.clicks import InitialMask, VoxelSet
from seganypet.clicks.voxel_set import reaches_inner_face, smallest_box

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


def test_a_mask_reaches_the_faces_of_its_box_beyond_which_the_volume_goes_on():
    part = np.zeros((3, 3, 3), bool)
    part[0, 1, 1] = True
    assert not reaches_inner_face(part, (slice(0, 3), slice(4, 7), slice(4, 7)), (9, 9, 9))  # the volume's own face
    assert reaches_inner_face(part, (slice(1, 4), slice(4, 7), slice(4, 7)), (9, 9, 9))
    part[0, 1, 1], part[1, 1, 2] = False, True
    assert not reaches_inner_face(part, (slice(1, 4), slice(4, 7), slice(6, 9)), (9, 9, 9))
    assert reaches_inner_face(part, (slice(1, 4), slice(4, 7), slice(5, 8)), (9, 9, 9))
