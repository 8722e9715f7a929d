import torch

from seganypet.data.targets import is_lesion, split_targets


def test_names_that_mean_lesions():
    assert is_lesion("lesion_3")
    assert is_lesion("Primary Tumour")
    assert not is_lesion("liver")


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
