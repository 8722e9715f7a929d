import numpy as np
import pytest
import torch

from seganypet.data import WindowDataset, WorkingStudy
from seganypet.data.targets import split_targets
from seganypet.data.window_cutting import WindowCut, draw_deformation, random_affine
from seganypet.networks.settings import DEFAULT_SETTINGS, Rung

FINE, COARSE = Rung(1.5, 16), Rung(3.0, 32, "grid")


@pytest.fixture
def study():
    labels = torch.zeros(40, 40, 40, dtype=torch.int16)
    labels[4:20, 4:20, 4:20] = 1
    labels[30:34, 30:34, 30:34] = 2
    uptake = torch.where(labels == 2, 8.0, torch.where(labels == 1, 2.0, 0.3)).half()
    target_map, targets = split_targets(labels, {1: "liver", 2: "lesion_1"})
    return WorkingStudy("made up", uptake, target_map, (3.0, 3.0, 3.0), tuple(targets), True)


def dataset(study, **options):
    return WindowDataset([study], DEFAULT_SETTINGS["compact"], **{"rungs": [COARSE], **options})


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
        WindowDataset([], DEFAULT_SETTINGS["compact"], rungs=[COARSE])


def test_a_fine_window_is_centred_on_a_click_in_its_target(study):
    windows = dataset(study, rungs=[FINE, COARSE], windows_per_study=8, finer_share=0.75, finer_lesion_share=1.0)
    for epoch in range(4):
        windows.set_epoch(epoch)
        fine, coarse = (np.flatnonzero(windows.rung_of == rung).tolist() for rung in (0, 1))
        assert (len(fine), len(coarse)) == (6, 2)
        item = windows[fine[epoch]]
        assert item["image"].shape == (1, 16, 16, 16)
        point = item["first_click"][0]
        assert (point - 8).abs().max() <= 0.5
        # the click lies on a voxel of 3 mm, which may be one at the target's border: within one of 1.5 mm of it
        i, j, k = (point + 0.5).floor().long().tolist()
        assert item["targets"][0][i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2].any()
        assert (item["first_click"][1:] == -1).all()
        assert (windows[coarse[0]]["first_click"] == -1).all()
        assert windows[coarse[0]]["image"].shape == (1, 32, 32, 32)


def test_one_window_of_each_study_takes_turns_on_the_rungs(study):
    # rounded study by study, two thirds of one window was one window, and the coarse rung was never trained
    windows = WindowDataset(
        [study] * 9, DEFAULT_SETTINGS["compact"], rungs=[FINE, COARSE], windows_per_study=1, finer_share=2 / 3
    )
    rungs = []
    for epoch in range(3):
        windows.set_epoch(epoch)
        rungs.append(windows.rung_of)
    assert [int((one == 1).sum()) for one in rungs] == [3, 3, 3]
    assert np.sum(rungs, 0).tolist() == [1] * 9


def test_close_ups_take_their_share_and_the_rungs_share_the_rest(study):
    options = {"rungs": [FINE, COARSE], "windows_per_study": 8, "close_up_share": 0.25, "finer_share": 0.5}
    windows = dataset(study, **options)
    for epoch in range(3):
        windows.set_epoch(epoch)
        assert np.bincount(windows.rung_of).tolist() == [3, 3, 2]
    assert np.bincount(dataset(study, **{**options, "rungs": [COARSE]}).rung_of).tolist() == [8]


@pytest.mark.parametrize("flips_only", [False, True])
def test_a_close_up_shows_a_border_in_the_window_around_it(study, flips_only):
    options = {"rungs": [FINE, COARSE], "close_up_share": 1.0, "targets_per_window": 2, "flips_only": flips_only}
    windows = dataset(study, **options, lesion_share=0.0)
    for index in range(4):
        item = windows[index]
        assert item["image"].shape == (1, 16, 16, 16)
        assert item["targets"].shape == (2, 16, 16, 16)
        middle = item["around_at"]
        assert ((middle >= 4) & (middle <= 27)).all()  # the close-up lies wholly in the window
        steps = (torch.arange(16) - 7.5) / 2
        i, j, k = ((steps + m).round().long() for m in middle)
        around = item["around_targets"][0][i][:, j][:, :, k]
        assert 0 < around.sum() < 16**3  # a border of the target
        assert 2 * (around & item["targets"][0]).sum() / (around.sum() + item["targets"][0].sum()) > 0.9
        uptake, there = item["image"][0], item["around"][0][i][:, j][:, :, k]
        assert np.corrcoef(uptake.flatten(), there.flatten())[0, 1] > 0.9


def test_a_straight_cut_is_the_study_where_the_spacings_agree():
    voxels = torch.arange(1.0, 9).reshape(2, 2, 2)
    labels = torch.ones(2, 2, 2, dtype=torch.int16)
    study = WorkingStudy("s", voxels.half(), labels, (3.0, 3.0, 3.0), (), True)
    # window voxel 0 lies at study voxel (−1, 0, 1)
    cut = WindowCut(study, np.array([-1.0, 0, 1]), np.zeros(3), spacing_mm=3.0, size=2)
    assert cut.uptake().flatten().tolist() == [0, 0, 0, 0, 2, 0, 4, 0]
    assert cut.masks([1])[0].flatten().tolist() == [False] * 4 + [True, False, True, False]
    assert cut.targets_near() == {1: 2}
    assert WindowCut(study, np.array([5.0, 0, 0]), np.zeros(3), spacing_mm=3.0, size=2).uptake().eq(0).all()


def test_a_finer_cut_interpolates_linearly():
    voxels = torch.tensor([0.0, 4.0]).view(2, 1, 1)
    study = WorkingStudy("s", voxels.half(), (voxels > 0).short(), (3.0, 3.0, 3.0), (), True)
    cut = WindowCut(study, np.array([0.0, 0, 0]), np.zeros(3), spacing_mm=1.0, size=4)
    # 0, 1, 2, 3 mm from the first voxel's centre; across, 1 mm is still inside the 3 mm voxel, 2 mm is not
    assert cut.uptake()[:, 0, 0].tolist() == pytest.approx([0, 4 / 3, 8 / 3, 4], abs=1e-6)
    assert cut.uptake()[3, :, 0].tolist() == pytest.approx([4, 4, 0, 0], abs=1e-6)
    assert cut.masks([1])[0][:, 0, 0].tolist() == [False, False, True, True]


def test_a_turned_window_turns_uptake_and_targets_alike(study):
    deformation = draw_deformation(np.random.default_rng(5), 16)
    still = WindowCut(study, np.array([31.5] * 3), np.full(3, 8.0), spacing_mm=1.5, size=16, deformation=deformation)
    hot = still.uptake() > 4.5 * deformation.gain
    both = 2 * (hot & still.masks([2])[0]).sum() / (hot.sum() + still.masks([2])[0].sum())
    assert both > 0.9


def test_axes_are_permuted_in_their_share_of_windows():
    orders = [
        tuple(np.abs(draw_deformation(np.random.default_rng(seed), 16, share).matrix).argmax(1))
        for share in (0.0, 1.0)
        for seed in range(60)
    ]
    assert set(orders[:60]) == {(0, 1, 2)}
    assert len(set(orders[60:])) == 6


def test_affines_stay_close_to_a_rigid_motion():
    random = np.random.default_rng(0)
    for _ in range(20):
        singular = np.linalg.svd(random_affine(random))[1]
        assert 0.8 * np.exp(-0.08) - 1e-6 <= singular.min()
        assert singular.max() <= 1.25 * np.exp(0.08) + 1e-6
