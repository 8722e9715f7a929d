"""Readers' habits: contours worked by hand on one ball, and never into an organ or a neighbour."""

import json

import numpy as np
import pytest
from scipy import ndimage

from seganypet.data import read_data_list, write_cohort
from seganypet.data.phantoms import Phantom, make_phantom
from seganypet.data.phantoms.anatomy import VALUES
from seganypet.data.phantoms.lesion_growth import Lesion
from seganypet.data.phantoms.truth_habits import HABITS, contour_by_habit


def ball(radius_mm=8.0, fwhm_sigma=2.0, suv=10.0):
    """A ball of SUV 10 in muscle of SUV 1, 1 mm voxels, blurred by a Gaussian of 2 mm."""
    x, y, z = np.ogrid[:48, :48, :48]
    inside = (x - 24) ** 2 + (y - 24) ** 2 + (z - 24) ** 2 <= radius_mm**2
    activity = np.where(inside, suv, 1.0)
    labels = np.where(inside, 101, VALUES["muscle"]).astype(np.int16)
    lesion = Lesion("lesion_1", 101, "neck", 2.1, float(inside.sum()) / 1000, suv)
    image = ndimage.gaussian_filter(activity, fwhm_sigma).astype(np.float32)
    return Phantom(image, labels, np.eye(4), {2: "muscle", 101: "lesion_1"}, [lesion])


def outlined(phantom, habit, seed=0):
    made = contour_by_habit(phantom, np.random.default_rng(seed), habit)
    return made, made.labels == 101


def test_each_habit_on_a_ball():
    phantom = ball()
    painted = phantom.labels == 101
    _, same = outlined(phantom, "painted")
    np.testing.assert_array_equal(same, painted)
    _, half = outlined(phantom, "half_maximum")
    assert phantom.suv[half].min() >= 0.5 * phantom.suv.max() > phantom.suv[~half].max()
    made, fixed = outlined(phantom, "suv_4")
    assert phantom.suv[fixed].min() >= 4.0 > phantom.suv[~fixed].max()
    assert fixed.sum() > half.sum()
    assert made.lesions[0].habit == "suv_4"
    assert made.lesions[0].volume_ml == pytest.approx(fixed.sum() / 1000)
    _, wide = outlined(phantom, "generous")
    grown = ndimage.distance_transform_edt(~painted)
    assert painted[wide].sum() == painted.sum()
    assert 1.0 <= grown[wide].max() <= 2.5  # a voxel's middle lies half a voxel inside its surface
    _, steep = outlined(phantom, "gradient_edge")
    assert 0.8 < steep.sum() / painted.sum() < 1.4
    assert phantom.labels[24, 24, 24] == 101  # not changed


def test_a_faint_lesion_keeps_its_object_where_suv_4_cannot_tell():
    _, mask = outlined(ball(suv=4.5), "suv_4")
    np.testing.assert_array_equal(mask, ball().labels == 101)
    with pytest.raises(ValueError, match="'41 %'"):
        contour_by_habit(ball(), np.random.default_rng(0), "41 %")


def test_a_contour_that_shrinks_gives_its_voxels_back():
    made, _ = outlined(ball(radius_mm=4.0), "half_maximum")
    assert set(np.unique(made.labels)) == {2, 101}


@pytest.mark.parametrize("habit", list(HABITS))
def test_contours_stay_apart_from_neighbours_and_organs(habit):
    phantom = make_phantom(12, voxel_size_mm=(4, 4, 4))
    organs = ("brain", "heart", "liver", "kidney_left", "urinary_bladder")
    made = contour_by_habit(phantom, np.random.default_rng(1), habit)
    assert [lesion.name for lesion in made.lesions] == [lesion.name for lesion in phantom.lesions]
    for lesion in made.lesions:
        mask = made.labels == lesion.value
        assert mask.sum() * 0.064 == pytest.approx(lesion.volume_ml)
        assert ndimage.label(mask)[1] == 1
        painted = phantom.labels == lesion.value
        assert 2 * (mask & painted).sum() >= 0.4 * (mask.sum() + painted.sum())
        others = (phantom.labels >= 101) & ~painted
        assert not (mask & others).any()
        for organ in organs:
            assert not (mask & (phantom.labels == VALUES[organ])).any()


def test_habits_are_for_training_alone(tmp_path):
    options = {"voxel_size_mm": (8, 8, 8), "progress": False, "workers": 1, "truth_habits": True}
    path = write_cohort(tmp_path, 4, 2, test=2, **options)
    entries = read_data_list(path)
    seen = {}
    for section in ("training", "test"):
        records = [json.loads((entry.label.parent / "phantom.json").read_text()) for entry in getattr(entries, section)]
        seen[section] = {lesion["habit"] for record in records for lesion in record["lesions"]}
        assert [record["made_with"]["truth_habits"] for record in records] == [section == "training"] * 2
    assert seen["test"] == {"painted"}
