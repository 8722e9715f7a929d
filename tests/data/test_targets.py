import numpy as np
import torch

from seganypet.data.preprocessing import WorkingGrid
from seganypet.data.targets import is_lesion, resample_labels, split_targets


def test_names_that_mean_lesions():
    assert is_lesion("lesion_3")
    assert is_lesion("Primary Tumour")
    assert not is_lesion("liver")


def test_labels_take_the_voxels_they_hold_most_of():
    labels = np.zeros((4, 4, 4), np.int16)
    labels[0:2] = 7
    labels[2:4] = 3
    grid = WorkingGrid(labels.shape, np.diag([3.0, 3, 3, 1]), 1.5)
    resampled = resample_labels(labels, grid, [3, 7])
    assert resampled[:, 4, 4].tolist() == [7, 7, 7, 7, 3, 3, 3, 3]
    assert resample_labels(labels, grid, [3])[:, 4, 4].tolist() == [0, 0, 0, 0, 3, 3, 3, 3]


def test_boxes_give_what_the_whole_volume_gives():
    random = np.random.default_rng(0)
    labels = np.kron(random.integers(0, 4, (4, 4, 4)), np.ones((5, 4, 3), int))
    affine = np.array([[0, 0, -3.3, 20], [4.1, 0, 0, 5], [0, 2.0, 0, -7], [0, 0, 0, 1.0]])
    grid = WorkingGrid(labels.shape, affine, 3.0)
    shares = torch.stack([grid.resample((labels == value).astype(np.float32)) for value in (1, 2, 3)])
    best, index = shares.max(0)
    clear = (shares.sort(0).values[2] - shares.sort(0).values[1] > 1e-4) & ((best - 0.5).abs() > 1e-4)
    expected = torch.where(best >= 0.5, index + 1, 0)
    assert torch.equal(resample_labels(labels, grid, [1, 2, 3])[clear].long(), expected[clear])


def test_each_lesion_is_a_target_and_an_organ_is_one():
    labels = torch.zeros(10, 10, 10, dtype=torch.int16)
    labels[0:2, 0:2, 0:2] = 1
    labels[5:8, 5:8, 5:8] = 1
    labels[0:2, 8:10, 0:2] = 2
    labels[8:10, 8:10, 8:10] = 2
    labels[4, 0, 0] = 1  # one voxel: too small for a target
    target_map, targets = split_targets(labels, {1: "lesion", 2: "kidneys"})
    assert [(target.name, target.lesion, target.voxels) for target in targets] == [
        ("lesion", True, 8),
        ("lesion", True, 27),
        ("kidneys", False, 16),
    ]
    assert target_map[6, 6, 6] == 2
    assert target_map[4, 0, 0] == 0
    assert target_map[targets[1].box].shape == (3, 3, 3)
