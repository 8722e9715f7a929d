import numpy as np
import pytest
import torch

from seganypet.clicks import Click
from seganypet.evaluation.metrics import dice, dice_per_click, lesion_f1, surface_dice
from seganypet.evaluation.protocol import click_curve
from seganypet.evaluation.report import TargetResult, areas, band, stability, summarise
from seganypet.evaluation.situation import situations
from seganypet.evaluation.threshold_region import best_threshold_dice, connected_above, threshold_region
from seganypet.pet import PetVolume


def test_dice_by_hand():
    one, two = np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2), bool)
    assert dice(one, two) == 1
    one[0], two[0, 0] = True, True
    assert dice(one, two) == pytest.approx(2 * 2 / (4 + 2))


def test_dice_per_click_by_hand():
    targets = torch.zeros(1, 1, 2, 2, 2, dtype=torch.bool)
    targets[..., 0, :, :] = True
    logits = torch.full((1, 1, 2, 2, 2, 2), -1.0)
    logits[0, 0, 1, 0] = 1.0
    assert dice_per_click(logits, targets).tolist() == [[[0.0, 1.0]]]


def test_curve_clicks_the_middle_of_the_largest_error_and_repeats_when_nothing_is_wrong():
    target = np.zeros((9, 9, 9), bool)
    target[1:4, 1:4, 1:4] = True
    target[6:8, 6:8, 6:8] = True
    asked: list[tuple[Click, ...]] = []

    def segment(clicks):
        asked.append(tuple(clicks))
        mask = np.zeros_like(target)
        mask[1:4, 1:4, 1:4] = True
        if len(clicks) > 1:
            mask |= target
        return mask

    curve = click_curve(segment, target, (1.0, 1.0, 1.0), clicks=4)
    assert curve == pytest.approx([2 * 27 / (27 + 35), 1, 1, 1])
    assert asked[0] == (Click((2, 2, 2)),)
    assert len(asked) == 2
    assert asked[1][1].positive
    with pytest.raises(ValueError, match="empty"):
        click_curve(segment, np.zeros_like(target), (1.0, 1.0, 1.0))


def hot_spot() -> tuple[PetVolume, np.ndarray]:
    voxels = np.full((20, 20, 20), 0.5, np.float32)
    voxels[4:8, 4:8, 4:8] = 4.2
    voxels[5, 5, 5] = 10.0
    voxels[15, 15, 15] = 30.0
    return PetVolume(voxels, np.diag([4.0, 4, 4, 1])), voxels == np.float32(4.2)


def test_threshold_region_uses_the_local_maximum_and_stays_connected():
    volume, shell = hot_spot()
    region = threshold_region(volume, [Click((6, 6, 6))])
    assert region.sum() == 64  # 4.2 ≥ 0.41 · 10; the hotter voxel 6 cm away is neither reached nor joined
    assert region[shell].all()
    assert not region[15, 15, 15]
    assert threshold_region(volume, [Click((6, 6, 6), positive=False)]).sum() == 0
    assert threshold_region(volume, [Click((6, 6, 6))], share=0.5).sum() == 1


@pytest.mark.parametrize("air", [0.0, -0.01])
def test_a_click_in_air_selects_nothing(air):
    voxels = np.full((40, 20, 20), air, np.float32)
    voxels[30:, 5:15, 5:15] = 4.0
    volume = PetVolume(voxels, np.diag([4.0, 4, 4, 1]))
    in_air, in_body = Click((5, 5, 5)), Click((35, 10, 10))
    assert threshold_region(volume, [in_air]).sum() == 0
    np.testing.assert_array_equal(threshold_region(volume, [in_air, in_body]), voxels > 1)


def test_nothing_is_connected_to_a_voxel_below_the_level():
    volume, _ = hot_spot()
    box, part = connected_above(volume.voxels, 4.0, np.array([12, 12, 12]), np.array(volume.spacing_mm))
    assert part.shape == volume.voxels[box].shape
    assert not part.any()


def test_best_threshold_is_an_oracle():
    volume, shell = hot_spot()
    target = shell.copy()
    target[5, 5, 5] = True
    assert best_threshold_dice(volume, target) == 1.0


def test_summary_groups_targets_by_volume_and_situation():
    rows = [
        TargetResult("a", "liver", False, 1500.0, [0.5, 0.6, 0.7, 0.8, 0.9]),
        TargetResult(
            "a", "lesion", True, 5.0, [0.4] * 5, [0.2] * 5, 0.7, 50, ("clustered", "beside a hot organ"),
            [0.3, 0.3, 0.3, 0.3, 0.6], [10.0] * 5,
        ),
        TargetResult("b", "lesion", True, 50.0, [0.6] * 5, [0.3] * 5, 0.8, 500, ("alone",)),
        TargetResult("c", "lesion", True, 60.0, [0.8] * 5, [0.5] * 5, 0.6, 600, ("alone",)),
        TargetResult("d", "lesion", True, 0.5, [0.1] * 5, [0.1] * 5, 0.6, 9, ("alone",)),
    ]  # fmt: skip
    lines = summarise(rows).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == [
        "| lesions < 10 voxels",
        "| lesions 3–10 mL",
        "| lesions ≥ 30 mL",
        "| lesions alone",
        "| lesions beside a hot organ",
        "| lesions clustered",
        "| organs",
    ]
    small = "0.40 ± 0.00 | 0.40 ± 0.00 | 0.40 ± 0.00 | 0.30 | 0.60 | 2.00 | 0.20 | 0.20 | 0.20 | 0.70 |"
    assert lines[1] == f"| lesions 3–10 mL | 1 | {small}"
    assert lines[5] == f"| lesions clustered | 1 | {small}"
    assert lines[2].startswith("| lesions ≥ 30 mL | 2 | 0.70 ± 0.10 |")
    assert lines[3].startswith("| lesions alone | 2 |")
    assert lines[6] == "| organs | 1 | 0.50 ± 0.00 | 0.70 ± 0.00 | 0.90 ± 0.00 | – | – | – | – | – | – | – |"


@pytest.mark.parametrize(
    ("ml", "name"), [(0.2, "< 1 mL"), (1, "1–3 mL"), (9.9, "3–10 mL"), (10, "10–30 mL"), (30, "≥ 30 mL")]
)
def test_bands(ml, name):
    assert band(ml) == name


def test_stability_names_the_worst_step_and_who_ends_below_their_best():
    rows = [
        TargetResult("a", "lesion", True, 5.0, [0.5, 0.9, 0.8]),
        TargetResult("a", "lesion", True, 5.0, [0.5, 0.5, 0.5]),
    ]
    # means 0.5, 0.7, 0.65
    assert stability(rows).startswith("from 1 to 3 clicks the mean Dice's worst step is -0.0500; 50.0% of 2 targets")


def test_best_threshold_finds_the_best_part_of_a_target_in_two():
    voxels = np.zeros((40, 8, 8), np.float32)
    voxels[2:10, 2:6, 2:6] = 3.0
    voxels[30:32, 2:6, 2:6] = 9.0
    volume = PetVolume(voxels, np.diag([4.0, 4, 4, 1]))
    target = voxels > 0
    # the hot part alone: 2·32 / (32 + 160); the larger one: 2·128 / (128 + 160)
    assert best_threshold_dice(volume, target) == pytest.approx(2 * 128 / (128 + 160))


def test_surface_dice_by_hand():
    target = np.zeros((20, 20, 20), dtype=bool)
    target[5:10, 5:10, 5:10] = True
    assert surface_dice(target, target, (3.0, 3.0, 3.0)) == 1.0
    shifted = np.roll(target, 1, 0)
    assert surface_dice(shifted, target, (1.5, 1.5, 1.5)) == 1.0  # 1.5 mm off everywhere
    assert surface_dice(np.roll(target, 9, 0), target, (1.5, 1.5, 1.5)) == 0.0
    assert 0.3 < surface_dice(shifted, target, (3.0, 3.0, 3.0)) < 1.0  # 3 mm off at two faces
    empty = np.zeros_like(target)
    assert surface_dice(empty, empty, (1, 1, 1)) == 1.0
    assert surface_dice(empty, target, (1, 1, 1)) == 0.0


def test_situations_of_lesions():
    voxels = np.full((60, 40, 40), 0.5, np.float32)
    node, other, cold = (np.zeros(voxels.shape, dtype=bool) for _ in range(3))
    node[5:8, 5:8, 5:8] = other[14:17, 5:8, 5:8] = True  # 12 mm between them, at 2 mm
    cold[40:43, 20:23, 20:23] = True
    voxels[node | other] = 6.0
    voxels[cold] = 3.0
    voxels[46:56, 15:30, 15:30] = 12.0  # 8 mm beside it
    volume = PetVolume(voxels, np.diag([2.0, 2, 2, 1]))
    lesions = node | other | cold
    assert situations(volume, node, lesions) == ("clustered",)
    assert situations(volume, cold, lesions) == ("beside a hot organ",)
    assert situations(volume, node, node) == ("alone",)


def test_areas_by_hand():
    row = TargetResult("a", "lesion", True, 1.0, [0.5, 1.0])
    # from 0 to 0.5 and from 0.5 to 1, a step each: (0.25 + 0.75) / 2
    assert areas([row]) == "area under Dice over the prompts: lesions 0.50, organs –"


def test_lesion_detection_by_hand():
    truth, answer = np.zeros((20, 10, 3), bool), np.zeros((20, 10, 3), bool)
    assert np.isnan(lesion_f1(answer, truth))
    truth[0:2, 0:5], truth[6:8, 0:5], truth[12:14, 0:5] = True, True, True  # three lesions of 30 voxels
    assert lesion_f1(answer, truth) == 0
    answer[0:2, 4] = True  # 6 of 30 voxels: IoU 0.2
    answer[6, 4, 0:2] = True  # 2 of 30 voxels: IoU 0.07, so it finds nothing, and is wrong
    answer[18, 8] = True  # nothing there
    assert lesion_f1(answer, truth) == pytest.approx(2 * 1 / (2 * 1 + 2 + 2))
    one = np.zeros_like(truth)
    one[0:14, 0:5] = True  # all three in a lump: IoU 30 / 210 with each
    assert lesion_f1(one, truth) == 1
    corner = np.zeros((4, 4, 4), bool)
    corner[1, 1, 1] = corner[2, 2, 2] = True  # touch at a corner alone: two lesions; at an edge: one
    edge = corner.copy()
    edge[2, 2, 2], edge[2, 2, 1] = False, True
    half = np.zeros_like(corner)
    half[1, 1, 1] = True
    assert lesion_f1(half, corner) == pytest.approx(2 / 3)
    assert lesion_f1(half, edge) == 1


def test_areas_of_lesions_together_by_hand():
    row = TargetResult("i", "lesions", True, 5.0, [0.4, 0.8], detection=[0.5, 1.0])
    # detection: (0 + 0.5) / 2 + (0.5 + 1) / 2 = 1 over two prompts
    assert areas([row]).endswith("lesions 0.40, organs –; under lesions' detection 0.50")
    assert "| all lesions of a study | 1 |" in summarise([row], (1, 2))
