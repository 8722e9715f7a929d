"""Doses, weights and outcomes that cannot be, and units that can be told."""

import numpy as np
import pytest
from suv_headers import BQML, FACTOR, factors_of, reason_of

from seganypet.pet import SuvUnavailableError
from seganypet.pet.plausibility import body_mean, check_mean_suv


@pytest.mark.parametrize(
    ("dose", "unit"), [("400", "MBq"), ("400000", "kBq"), ("0.4", "GBq"), ("10.8108108108", "mCi")]
)
def test_a_dose_in_another_unit_is_told_by_the_weight(dose, unit):
    found = factors_of([BQML | {"RadionuclideTotalDose": dose}])
    assert found[0] == pytest.approx(FACTOR)
    assert found.notes[0].endswith(f"is below 1 MBq and was taken as {unit}")


@pytest.mark.parametrize(("dose", "part"), [("20", "could be MBq or mCi"), ("0.00001", "is no dose in Bq, kBq, MBq")])
def test_a_dose_that_several_or_no_units_explain_is_refused(dose, part):
    said = reason_of([BQML | {"RadionuclideTotalDose": dose}])
    assert f"RadionuclideTotalDose (0018,1074) {float(dose):g} is below 1 MBq, and {part}" in said


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"PatientWeight": "1"}, "400 MBq/kg, 0.02 to 200 are possible"),  # an anonymiser's dummy
        ({"RadionuclideTotalDose": "1500000"}, "0.0187 MBq/kg"),
        ({"RadionuclideTotalDose": "400000000000"}, "5e+03 MBq/kg"),
    ],
)
def test_a_dose_that_does_not_fit_the_weight_is_refused_with_both(changes, part):
    said = reason_of([BQML | changes])
    assert "RadionuclideTotalDose (0018,1074)" in said
    assert "PatientWeight (0010,1030)" in said
    assert part in said


def test_a_mouse_is_no_dummy():
    found = factors_of([BQML | {"PatientWeight": "0.025", "RadionuclideTotalDose": "10000000"}])
    assert found[0] == pytest.approx(25 / 2.5e6)
    found = factors_of([BQML | {"PatientWeight": "0.025", "RadionuclideTotalDose": "800000"}])
    assert found[0] == pytest.approx(25 / 0.2e6)
    assert found.notes == ("RadionuclideTotalDose (0018,1074) 800000 is below 1 MBq and was taken as Bq",)


def test_the_bodys_mean_by_hand():
    voxels = np.zeros((10, 10, 10), np.float32)
    voxels[:5] = 2.0
    assert body_mean(voxels) == pytest.approx(2.0)
    assert body_mean(np.zeros((3, 3, 3), np.float32)) is None


def field(share: float, bladder: float) -> np.ndarray:
    """Air, a body of SUV 1.2 that takes a share of the field, and a bladder in a five-hundredth of that."""
    voxels = np.random.default_rng(0).uniform(0, 0.001, 216_000).astype(np.float32)
    body = int(share * voxels.size)
    voxels[:body] = np.random.default_rng(1).normal(1.2, 0.2, body)
    voxels[: max(1, body // 500)] = bladder
    return voxels.reshape(60, 60, 60)


@pytest.mark.parametrize("bladder", [5.0, 60.0, 150.0])
def test_a_hot_organ_hides_no_wrong_unit(bladder):
    with pytest.raises(SuvUnavailableError, match=r"would be 0\.01"):
        check_mean_suv(field(0.15, bladder) / 100, [])
    notes = []
    check_mean_suv(field(0.15, bladder) / 10, notes)
    assert "would be 0.1" in notes[0]


@pytest.mark.parametrize("mean", [0.3, 1.0, 5.0])
def test_parts_of_a_body_pass(mean):
    notes = []
    check_mean_suv(np.full((4, 4, 4), mean, np.float32), notes)
    assert notes == []


@pytest.mark.parametrize("mean", [0.1, 20.0])
def test_an_odd_mean_is_said(mean):
    notes = []
    check_mean_suv(np.full((4, 4, 4), mean, np.float32), notes)
    assert f"would be {mean:.3g}; over a whole body it is about 1" in notes[0]


@pytest.mark.parametrize("mean", [0.001, 1000.0])
def test_an_impossible_mean_is_refused(mean):
    with pytest.raises(SuvUnavailableError, match="dose, weight or units cannot be right"):
        check_mean_suv(np.full((4, 4, 4), mean, np.float32), [])


@pytest.mark.parametrize(("corrected", "correction"), [(["ATTN"], "START"), (["ATTN", "DECY"], "NONE")])
def test_two_fields_that_disagree_on_decay_are_said(corrected, correction):
    frame = {"ActualFrameDuration": "1000"}
    found = factors_of([BQML | frame | {"CorrectedImage": corrected, "DecayCorrection": correction}])
    assert f"and DecayCorrection (0054,1102) {correction}: the latter was taken" in found.notes[0]
