import numpy as np
import pytest
import torch

from seganypet.data import WindowDataset, WorkingStudy
from seganypet.data.targets import split_targets
from seganypet.data.windows import crop, random_affine
from seganypet.networks.settings import DEFAULT_SETTINGS


@pytest.fixture
def study():
    labels = torch.zeros(40, 40, 40, dtype=torch.int16)
    labels[4:20, 4:20, 4:20] = 1
    labels[30:34, 30:34, 30:34] = 2
    uptake = torch.where(labels == 2, 8.0, torch.where(labels == 1, 2.0, 0.3)).half()
    target_map, targets = split_targets(labels, {1: "liver", 2: "lesion_1"})
    return WorkingStudy("made up", uptake, target_map, tuple(targets), True)


def dataset(study, **options):
    return WindowDataset([study], DEFAULT_SETTINGS["compact"], window_size=32, **options)


def test_a_window_follows_from_seed_epoch_and_index(study):
    windows = dataset(study, seed=3)
    windows.set_epoch(2)
    one, two = windows[1], dataset(study, seed=3)
    two.set_epoch(2)
    assert torch.equal(one["image"], two[1]["image"])
    assert torch.equal(one["targets"], two[1]["targets"])
    windows.set_epoch(3)
    assert not torch.equal(one["image"], windows[1]["image"])


def test_uptake_and_targets_stay_together(study):
    for index in range(4):
        item = dataset(study)[index]
        assert item["image"].shape == (1, 32, 32, 32)
        assert item["targets"].shape == (3, 32, 32, 32)
        for target in item["targets"]:
            assert target.any()
            inside, outside = item["image"][0][target].mean(), item["image"][0][~target].mean()
            assert inside > outside


def test_validation_windows_do_not_change(study):
    windows = dataset(study, augment=False)
    before = windows[0]["image"]
    windows.set_epoch(7)
    assert torch.equal(before, windows[0]["image"])


def test_no_studies_is_an_error():
    with pytest.raises(ValueError, match="no studies"):
        WindowDataset([], DEFAULT_SETTINGS["compact"], window_size=32)


def test_crop_is_zero_beyond_the_volume():
    volume = torch.arange(8.0).reshape(2, 2, 2) + 1
    out = crop(volume, np.array([-1, 0, 1]), 2)
    assert out.flatten().tolist() == [0, 0, 0, 0, 2, 0, 4, 0]
    assert crop(volume, np.array([5, 0, 0]), 2).eq(0).all()


def test_affines_stay_close_to_a_rigid_motion():
    random = np.random.default_rng(0)
    for _ in range(20):
        singular = np.linalg.svd(random_affine(random))[1]
        assert 0.8 * np.exp(-0.08) - 1e-6 <= singular.min()
        assert singular.max() <= 1.25 * np.exp(0.08) + 1e-6
