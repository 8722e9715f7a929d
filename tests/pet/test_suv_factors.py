"""SUV factors from headers alone: every rule by hand, every missing or implausible field by name."""

import math
from datetime import datetime

import numpy as np
import pytest
from pydicom.dataset import Dataset
from suv_headers import BQML, FACTOR, header

from seganypet.pet import SuvUnavailableError, suv_factors
from seganypet.pet.body_mass import body_surface_cm2, ideal_body_weight_kg, lean_body_mass_james_kg
from seganypet.pet.decay import average_count_time_s
from seganypet.pet.dicom_time import date_and_time, datetime_of

GML = {
    "Units": "GML",
    "CorrectedImage": ["DECY", "ATTN"],
    "PatientWeight": "70",
    "PatientSize": "1.75",
    "PatientSex": "M",
}


def factors(changes: dict | None = None, *, base: dict = BQML, private: tuple = ()) -> np.ndarray:
    return np.asarray(suv_factors([header(base | (changes or {}), private=private)]))


def reason(changes: dict, *, base: dict = BQML) -> str:
    with pytest.raises(SuvUnavailableError) as caught:
        factors(changes, base=base)
    return str(caught.value)


def test_result_is_a_sequence_with_its_provenance():
    found = suv_factors([header(BQML)] * 3)
    assert len(found) == 3
    assert list(found) == pytest.approx([FACTOR] * 3)
    assert found[1] == pytest.approx(FACTOR)
    assert isinstance(found[1], float)
    assert np.asarray(found).shape == (3,)
    assert np.asarray(found).dtype == np.float64
    assert "SeriesTime" in found.rule
    assert found.tags["PatientWeight (0010,1030)"] == "80"
    assert found.tags["RadionuclideTotalDose (0018,1074)"] == "400000000"
    assert "PatientSize (0010,1020)" not in found.tags
    assert found.notes == ()


def test_plain_mappings_work_too():
    assert suv_factors([BQML])[0] == pytest.approx(FACTOR)


def test_no_headers():
    with pytest.raises(ValueError, match="at least one header"):
        suv_factors([])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, FACTOR),
        ({"DecayCorrection": "ADMIN"}, 80_000 / 400e6),
        ({"RadionuclideTotalDose": "400"}, FACTOR),
        ({"PatientWeight": "80000"}, FACTOR),
        # a date of its own goes before the time alone
        ({"RadiopharmaceuticalStartDateTime": "20250301110000", "RadiopharmaceuticalStartTime": None}, 80_000 / 200e6),
        # no date: 23:00 lies after a series at 01:00, so it was the day before
        ({"SeriesTime": "010000", "AcquisitionTime": "010000", "RadiopharmaceuticalStartTime": "230000"}, FACTOR),
        # an offset from UTC matters only beside the scanner's own
        ({"RadiopharmaceuticalStartDateTime": "20250301100000+0000"}, FACTOR),
        (
            {"RadiopharmaceuticalStartDateTime": "20250301090000.5+0000", "TimezoneOffsetFromUTC": "+0100"},
            80_000 / (400e6 * 2 ** (-7199.5 / 3600)),
        ),
        # nothing that ADMIN does not use is needed
        ({"DecayCorrection": "ADMIN", "SeriesTime": None, "RadionuclideHalfLife": None, "AcquisitionTime": None}, 2e-4),
    ],
)
def test_activity_by_hand(changes, expected):
    assert factors(changes) == pytest.approx([expected], rel=1e-12)


def test_mean_count_time_by_hand():
    # λT = ln 2 for a frame as long as the half-life: ln(ln 2 / (1 − 1/2)) / ln 2 half-lives
    assert average_count_time_s(3600.0, 3600.0) == pytest.approx(3600 * math.log(2 * math.log(2)) / math.log(2))
    assert average_count_time_s([0.001, 60.0], 6586.2) == pytest.approx([0.0005, 29.984], rel=1e-4)


def test_series_time_is_compared_with_the_earliest_acquisition_of_all_slices():
    later = header(BQML | {"AcquisitionTime": "130000"})
    assert list(suv_factors([later, header(BQML)])) == pytest.approx([FACTOR, FACTOR])


def test_none_decays_each_slice_to_its_own_mean_count():
    frames = [
        {"AcquisitionTime": "120000", "ActualFrameDuration": "3600000"},
        {"AcquisitionTime": "130000", "ActualFrameDuration": "3600000"},
    ]
    found = suv_factors([header(BQML | {"DecayCorrection": "NONE"} | frame) for frame in frames])
    mean_count = float(average_count_time_s(3600.0, 3600.0))
    first = 80_000 / (100e6 * 2 ** (-mean_count / 3600))
    assert list(found) == pytest.approx([first, 2 * first])


def test_ge_scan_time_goes_before_the_series_time():
    for value, vr in (("20250301110000.00", "DT"), (b"20250301110000.00 ", "UN")):
        assert factors(private=((0x0009, "GEMS_PETD_01", 0x0D, vr, value),)) == pytest.approx([80_000 / 200e6])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1.0),
        ({"SUVType": "BW", "PatientWeight": None}, 1.0),
        ({"SUVType": "LBMJAMES128"}, 70 / 56.52),
        ({"SUVType": "LBMJAMES128", "PatientSex": "F"}, 70 / (1.07 * 70 - 148 * 0.16)),
        ({"SUVType": "LBMJANMA"}, 70 / (9270 * 70 / (6680 + 216 * 22.8571428))),
        ({"SUVType": "LBMJANMA", "PatientSex": "F"}, 70 / (9270 * 70 / (8780 + 244 * 22.8571428))),
        ({"SUVType": "IBW", "PatientWeight": "90"}, 90 / 72.38),
        ({"SUVType": "IBW", "PatientSex": "F"}, 70 / 66.43),
        ({"SUVType": "IBW", "PatientSex": "O"}, 70 / 69.405),
        ({"SUVType": "IBW", "PatientWeight": "60"}, 1.0),  # at most the weight
        ({"SUVType": "IBW", "PatientSize": "175", "PatientSex": "F"}, 70 / 66.43),
        ({"SUVType": "IBW", "PatientSize": "1750", "PatientSex": "F"}, 70 / 66.43),
        # the injection a day after the scan is nobody's business here
        ({"DecayCorrection": "START", "SeriesDate": "20250301", "RadiopharmaceuticalStartDateTime": "20250302"}, 1.0),
    ],
)
def test_suv_already_by_hand(changes, expected):
    assert factors(changes, base=GML) == pytest.approx([expected], rel=1e-6)


def test_body_surface():
    # Du Bois: 70 kg and 175 cm have 1.848 m²
    assert body_surface_cm2(70, 175) == pytest.approx(18481, abs=1)
    assert factors({"Units": "CM2ML"}, base=GML) == pytest.approx([70_000 / 18481], rel=1e-4)
    assert factors({"Units": "CM2ML", "PatientSex": None}, base=GML) == pytest.approx([70_000 / 18481], rel=1e-4)


def test_lean_and_ideal_mass_are_at_most_the_weight():
    assert lean_body_mass_james_kg(70, 175, "O") == pytest.approx((56.52 + 51.22) / 2)
    assert lean_body_mass_james_kg(10, 175, "M") == 10
    assert ideal_body_weight_kg(50, 190, "F") == 50
    with pytest.raises(ValueError, match="'X'"):
        ideal_body_weight_kg(50, 190, "X")


PHILIPS = "Philips PET Private Group"


@pytest.mark.parametrize(
    ("private", "expected"),
    [
        (((0x7053, PHILIPS, 0x00, "DS", "0.0005"),), 0.0005),
        (((0x7053, PHILIPS, 0x00, "UN", b"0.0005 "), (0x7053, PHILIPS, 0x09, "DS", "9")), 0.0005),
        (((0x7053, PHILIPS, 0x00, "DS", "0"), (0x7053, PHILIPS, 0x09, "DS", "2.5")), 2.5 * FACTOR),
        (((0x7053, PHILIPS, 0x09, "DS", "2.5"),), 2.5 * FACTOR),
    ],
)
def test_philips_counts(private, expected):
    assert factors({"Units": "CNTS"}, private=private) == pytest.approx([expected])
    # and none of it matters in a series in Bq/mL
    assert factors(private=private) == pytest.approx([FACTOR])


def test_philips_factor_without_its_creator():
    dataset = header(BQML | {"Units": "CNTS"})
    dataset.add_new((0x7053, 0x1000), "DS", "0.0005")
    assert suv_factors([dataset])[0] == 0.0005


def test_counts_without_a_factor_name_both_tags():
    message = reason({"Units": "CNTS"})
    assert "(7053,1000)" in message
    assert "(7053,1009)" in message


START_NEEDS = (
    "Units",
    "DecayCorrection",
    "PatientWeight",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime",
)


@pytest.mark.parametrize("keyword", START_NEEDS)
@pytest.mark.parametrize("value", [None, ""])
def test_what_start_needs_and_lacks_is_named(keyword, value):
    number = Dataset()
    setattr(number, keyword, BQML[keyword])
    (element,) = number
    assert reason({keyword: value}) == f"SUV unavailable: {keyword} {str(element.tag).replace(' ', '')} is missing"


@pytest.mark.parametrize(
    ("base", "changes", "missing"),
    [
        (BQML, {"SeriesTime": "130000"}, "FrameReferenceTime (0054,1300)"),
        (BQML, {"SeriesTime": "130000", "FrameReferenceTime": "0"}, "ActualFrameDuration (0018,1242)"),
        (BQML, {"DecayCorrection": "NONE"}, "ActualFrameDuration (0018,1242)"),
        (GML, {"SUVType": "IBW", "PatientSize": None}, "PatientSize (0010,1020)"),
        (GML, {"SUVType": "LBMJAMES128", "PatientSex": None}, "PatientSex (0010,0040)"),
        (GML, {"Units": "CM2ML", "PatientWeight": None}, "PatientWeight (0010,1030)"),
    ],
)
def test_what_other_rules_need_and_lack_is_named(base, changes, missing):
    assert f"{missing} is missing" in reason(changes, base=base)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"PatientWeight": "0"}, ["PatientWeight (0010,1030) is 0", "above zero"]),
        ({"PatientWeight": "-70"}, ["PatientWeight (0010,1030)"]),
        ({"RadionuclideTotalDose": "0"}, ["RadionuclideTotalDose (0018,1074) is 0"]),
        ({"RadionuclideHalfLife": "0"}, ["RadionuclideHalfLife (0018,1075) is 0"]),
        ({"Units": "PROPCPS"}, ["Units (0054,1001) is PROPCPS"]),
        ({"DecayCorrection": "SOMETIMES"}, ["DecayCorrection (0054,1102)", "SOMETIMES"]),
        ({"CorrectedImage": ["DECY", "SCAT"]}, ["CorrectedImage (0028,0051)", "without ATTN"]),
        ({"SeriesTime": "noon"}, ["SeriesTime (0008,0031)", "'noon'"]),
        ({"RadiopharmaceuticalStartDateTime": "2025030"}, ["RadiopharmaceuticalStartDateTime (0018,1078)"]),
        (
            {"CorrectedImage": None, "AttenuationCorrectionMethod": "NONE"},
            ["AttenuationCorrectionMethod (0054,1101) is NONE"],
        ),
        # injected after the scan, and 50 half-lives before it: both dates are named
        (
            {"RadiopharmaceuticalStartDateTime": "20250302100000"},
            ["RadiopharmaceuticalStartDateTime (0018,1078) 20250302100000", "after", "SeriesDate (0008,0021) 20250301"],
        ),
        (
            {"RadiopharmaceuticalStartDateTime": "20250227100000"},
            ["RadiopharmaceuticalStartDateTime (0018,1078)", "50 half-lives", "SeriesTime (0008,0031) 120000"],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_implausible_fields_are_named(changes, parts):
    message = reason(changes)
    assert message.startswith("SUV unavailable: ")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"SUVType": "LBM"}, "SUVType (0054,1006) is LBM"),
        ({"SUVType": "IBW", "PatientSex": "X"}, "PatientSex (0010,0040) is X"),
        ({"Units": "CM2ML", "SUVType": "BW"}, "contradict"),
        ({"SUVType": "LBMJAMES128", "PatientWeight": "300", "PatientSize": "1.5"}, "PatientSize (0010,1020)"),
    ],
)
def test_body_sizes_that_do_not_work(changes, part):
    assert part in reason(changes, base=GML)


def test_fields_that_differ_within_a_series_are_named():
    with pytest.raises(SuvUnavailableError, match=r"PatientWeight \(0010,1030\) differs within the series: 80, 90"):
        suv_factors([header(BQML), header(BQML | {"PatientWeight": "90"})])
    twice = header(BQML)
    twice.RadiopharmaceuticalInformationSequence.append(
        header(BQML | {"RadionuclideTotalDose": "1e8"}).RadiopharmaceuticalInformationSequence[0]
    )
    with pytest.raises(SuvUnavailableError, match=r"RadionuclideTotalDose \(0018,1074\) differs"):
        suv_factors([twice])
    with pytest.raises(SuvUnavailableError, match=r"AcquisitionTime \(0008,0032\) is missing in header 2 of 2"):
        suv_factors([header(BQML), header(BQML | {"AcquisitionTime": None})])


def test_assumptions_are_noted():
    found = suv_factors([header(BQML | {"RadionuclideTotalDose": "400", "PatientWeight": "80000"})])
    assert len(found.notes) == 2
    assert any("taken as MBq" in note for note in found.notes)
    assert any("taken as grams" in note for note in found.notes)


def test_dates_and_times():
    assert date_and_time("20250301", "1203") == datetime(2025, 3, 1, 12, 3)
    assert date_and_time("2025.03.01", "12:03:04.5") == datetime(2025, 3, 1, 12, 3, 4, 500000)
    assert datetime_of("20250301120304.25") == datetime(2025, 3, 1, 12, 3, 4, 250000)
    for date, time in (("20251301", "12"), ("2025", "12"), ("20250301", "25"), ("20250301", "126100"), ("", "12")):
        with pytest.raises(ValueError, match="is no DICOM"):
            date_and_time(date, time)


PHILIPS = "Philips PET Private Group"
CNTS = BQML | {"Units": "CNTS"}


def test_a_private_block_counts_where_its_owner_put_it():
    header_ = header(CNTS, private=[(0x7053, "SOMEBODY", 0x00, "DS", "9"), (0x7053, PHILIPS, 0x00, "DS", "0.5")])
    assert suv_factors([header_])[0] == 0.5


def test_a_foreign_private_block_is_not_the_vendors():
    theirs = [(0x7053, "SOMEBODY ELSE", element, "DS", "9") for element in (0x00, 0x09)]
    foreign = header(CNTS, private=theirs)
    with pytest.raises(SuvUnavailableError, match="neither PhilipsSUVScaleFactor"):
        suv_factors([foreign])
    moved = header(BQML | {"SeriesTime": "130000"}, private=[(0x0009, "NOT GE", 0x0D, "DT", "20250301110000")])
    with pytest.raises(SuvUnavailableError, match="FrameReferenceTime"):
        suv_factors([moved])


def test_a_bare_private_field_counts_where_no_owner_is_named():
    bare = header(CNTS)
    bare.add_new(0x70531000, "DS", "0.5")
    assert suv_factors([bare])[0] == 0.5
