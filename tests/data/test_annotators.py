import nibabel as nib
import numpy as np
import pytest

from seganypet.data import read_data_list
from seganypet.data.annotators import Annotator, OrganMistakes, write_low_quality
from seganypet.data.data_list import Entry, write_data_list
from seganypet.evaluation.metrics import dice

SPACING = (4.0, 4.0, 4.0)
NAMES = {1: "liver", 2: "spleen", 3: "lesion_1"}


@pytest.fixture
def truth() -> tuple[np.ndarray, np.ndarray]:
    """A liver and a spleen that touch, a lesion of 1.7 mL apart from them, and a bright spot that is none."""
    labels = np.zeros((40, 30, 30), np.int16)
    labels[5:17, 8:20, 8:20] = 1
    labels[17:25, 8:18, 8:18] = 2
    labels[32:35, 20:23, 20:23] = 3
    suv = np.where(labels > 0, 3.0, 0.5).astype(np.float32)
    suv[32:35, 4:7, 4:7] = 6.0
    return labels, suv


def draw(truth, seed=0, **options):
    labels, suv = truth
    return Annotator(**options).draw(labels, suv, NAMES, SPACING, np.random.default_rng(seed))


ONLY = {"border_mm": 0.0, "shift_mm": 0.0, "leak": 0.0, "missed": 0.0, "invented": 0.0, "confused": 0.0}


def test_strength_0_is_the_truth(truth):
    assert np.array_equal(draw(truth, strength=0.0), truth[0])


def test_an_annotator_follows_from_the_generator(truth):
    assert np.array_equal(draw(truth, seed=1), draw(truth, seed=1))
    assert not np.array_equal(draw(truth, seed=1), draw(truth, seed=2))


def test_labels_worsen_with_strength(truth):
    def mean_dice(strength: float) -> float:
        drawn = [draw(truth, seed, strength=strength) for seed in range(5)]
        return float(np.mean([dice(one == value, truth[0] == value) for one in drawn for value in (1, 2)]))

    weak, strong, worst = mean_dice(0.3), mean_dice(1.0), mean_dice(2.0)
    assert 0.9 < weak < 1.0
    assert 0.6 < strong < weak
    assert worst < strong


def test_borders_move_by_as_much_as_is_said(truth):
    moved = draw(truth, **(ONLY | {"border_mm": 3.0}))
    wrong = (moved == 1) != (truth[0] == 1)
    assert wrong.any()
    core = np.zeros_like(wrong)
    core[8:14, 11:17, 11:17] = True
    assert not wrong[core].any()  # three voxels, 12 mm, inside the border nothing is


def test_small_lesions_are_missed(truth):
    assert not (draw(truth, **(ONLY | {"missed": 1.0})) == 3).any()
    assert (draw(truth, **ONLY) == 3).sum() == 27


def test_bright_spots_become_lesions(truth):
    drawn = draw(truth, seed=3, **(ONLY | {"invented": 5.0}))
    extra = (drawn == 3) & (truth[0] == 0)
    assert extra.any()
    assert extra[32:35, 4:7, 4:7].any()


def test_neighbours_are_confused(truth):
    drawn = draw(truth, **(ONLY | {"confused": 1.0}))
    given = (truth[0] == 1) & (drawn == 2)
    taken = (truth[0] == 2) & (drawn == 1)
    assert given.any() or taken.any()
    assert (drawn > 0).sum() == (truth[0] > 0).sum()


def test_leaks_stay_within_reach_and_brightness(truth):
    labels, suv = truth
    suv = suv.copy()
    suv[25:31, 8:18, 8:18] = 3.0  # as bright as the spleen, and beside it
    drawn = Annotator(**(ONLY | {"leak": 1.0})).draw(labels, suv, NAMES, SPACING, np.random.default_rng(0))
    leaked = (drawn == 2) & (labels == 0)
    assert leaked[25, 8:18, 8:18].all()
    assert not leaked[28:].any()  # 8 mm are two voxels
    assert (suv[leaked] == 3.0).all()


def test_a_cohort_gets_a_low_quality_part(truth, tmp_path):
    entries = []
    for n in range(4):
        nib.save(nib.Nifti1Image(truth[0], np.diag([4.0, 4, 4, 1])), tmp_path / f"l{n}.nii.gz")
        nib.save(nib.Nifti1Image(truth[1], np.diag([4.0, 4, 4, 1])), tmp_path / f"s{n}.nii.gz")
        entries.append(Entry(tmp_path / f"s{n}.nii.gz", tmp_path / f"l{n}.nii.gz", NAMES))
    path = write_data_list(tmp_path / "data_list.json", {"training": entries[:3], "validation": entries[3:]})
    noisy = read_data_list(write_low_quality(path, tmp_path / "noisy", share=2 / 3, seed=5))
    assert [entry.quality for entry in noisy.training] == ["high", "low", "low"]
    assert noisy.training[0].label == entries[0].label
    assert noisy.training[1].label == tmp_path / "noisy" / "labels_0001.nii.gz"
    assert noisy.validation == read_data_list(path).validation
    labels = np.asarray(nib.load(noisy.training[1].label).dataobj)
    assert not np.array_equal(labels, truth[0])
    with pytest.raises(ValueError, match="0 to 1, got 2"):
        write_low_quality(path, tmp_path / "x", share=2)


def test_a_study_whose_annotator_missed_all_is_left_out(truth, tmp_path):
    nib.save(nib.Nifti1Image(truth[1], np.diag([*SPACING, 1])), tmp_path / "suv.nii.gz")
    nib.save(nib.Nifti1Image(truth[0], np.diag([*SPACING, 1])), tmp_path / "labels.nii.gz")
    entry = Entry(tmp_path / "suv.nii.gz", tmp_path / "labels.nii.gz", {3: "lesion_1"})
    path = write_data_list(tmp_path / "list.json", {"training": [entry] * 12})
    noisy = read_data_list(write_low_quality(path, tmp_path / "noisy", share=11 / 12, kind="organs", seed=0))
    assert 1 <= len(noisy.training) < 12
    assert all(one.label_names for one in noisy.training)


def test_wrong_strengths_are_named():
    with pytest.raises(ValueError, match=r"0 to 2, got 2\.2"):
        Annotator(2.2)


def test_whole_targets_are_unlabelled_or_take_another_organs_value(truth):
    labels, suv = truth

    def drawn(**options: float) -> np.ndarray:
        return OrganMistakes(**options).draw(labels, suv, NAMES, SPACING, np.random.default_rng(0))

    assert np.array_equal(drawn(strength=0.0), labels)
    assert not drawn(unlabelled=1.0).any()
    swapped = drawn(unlabelled=0.0, mislabelled=1.0)  # each organ takes the other's value
    assert np.array_equal(swapped == 2, labels == 1)
    assert np.array_equal(swapped == 1, labels == 2)
    assert np.array_equal(swapped == 3, labels == 3)
    with pytest.raises(ValueError, match="strength"):
        OrganMistakes(3)
