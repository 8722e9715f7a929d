"""When the tracer was injected: by hand, for fields that lack a date, name another zone or run by another clock."""

import pytest
from suv_headers import BQML, FACTOR, factors_of, reason_of

ZR89, CU64, I124, GA68 = 282280.0, 45723.6, 360806.4, 4062.6


def of(**changes):
    return [BQML | changes]


@pytest.mark.parametrize("half_life", [ZR89, CU64, I124])
def test_a_long_lived_nuclide_needs_a_date(half_life):
    said = reason_of(of(RadionuclideHalfLife=str(half_life)))
    assert "RadiopharmaceuticalStartTime (0018,1072) 100000 has no date" in said
    assert "RadiopharmaceuticalStartDateTime (0018,1078) is needed" in said


def test_with_its_date_days_of_decay_count():
    found = factors_of(
        of(RadionuclideHalfLife=str(ZR89), RadiopharmaceuticalStartDateTime="20250226100000"),
    )
    # 74 h before the series: three days from 26 to 1, and two hours
    assert found[0] == pytest.approx(80_000 / (400e6 * 2 ** (-74 * 3600 / ZR89)))
    assert found.notes == ()


def test_a_date_alone_goes_with_the_time():
    dated = of(RadionuclideHalfLife=str(ZR89), RadiopharmaceuticalStartDateTime="20250226")
    assert factors_of(dated)[0] == pytest.approx(80_000 / (400e6 * 2 ** (-74 * 3600 / ZR89)))
    said = reason_of(of(RadiopharmaceuticalStartDateTime="20250226", RadiopharmaceuticalStartTime=None))
    assert "RadiopharmaceuticalStartDateTime (0018,1078): '20250226' is no DICOM date with time" in said


@pytest.mark.parametrize("half_life", [ZR89, CU64, GA68, 6586.2])
def test_a_start_a_little_after_the_scan_is_a_clock(half_life):
    found = factors_of(of(RadionuclideHalfLife=str(half_life), RadiopharmaceuticalStartTime="120030"))
    assert found[0] == pytest.approx(80_000 / 400e6)  # as at the scan's start
    assert "lies 30 s after the scan: taken as another clock's" in found.notes[0]


@pytest.mark.parametrize("half_life", [ZR89, CU64])
def test_days_after_the_injection_at_its_hour_are_no_clock(half_life):
    said = reason_of(of(RadionuclideHalfLife=str(half_life), RadiopharmaceuticalStartTime="120200"))
    assert "has no date" in said


def test_a_dated_start_a_little_after_the_scan_is_a_clock_too():
    found = factors_of(of(RadiopharmaceuticalStartDateTime="20250301120030", RadiopharmaceuticalStartTime=None))
    assert found[0] == pytest.approx(80_000 / 400e6)
    assert len(found.notes) == 1


def test_more_than_a_clock_is_refused():
    assert "the dates do not fit" in reason_of(
        of(RadiopharmaceuticalStartDateTime="20250301123000", RadiopharmaceuticalStartTime=None)
    )
    assert "the dates do not fit" in reason_of(of(RadiopharmaceuticalStartTime="123000"))


def test_before_midnight_is_said():
    found = factors_of(of(SeriesTime="010000", AcquisitionTime="010000", RadiopharmaceuticalStartTime="230000"))
    assert found[0] == pytest.approx(FACTOR)
    assert "was taken as of the day before, 2025-02-28" in found.notes[0]


def test_the_same_moment_in_another_zone_is_the_time_alone():
    found = factors_of(of(RadiopharmaceuticalStartDateTime="20250301090000.000000+0000"))
    assert found[0] == pytest.approx(FACTOR)
    assert "in another zone than RadiopharmaceuticalStartTime (0018,1072) 100000" in found.notes[0]
    # across midnight, UTC−5: 23:30 local is 04:30 of the next day in UTC
    late = of(
        RadiopharmaceuticalStartDateTime="20250301043000+0000", RadiopharmaceuticalStartTime="233000",
        SeriesTime="013000", AcquisitionTime="013000",
    )  # fmt: skip
    assert factors_of(late)[0] == pytest.approx(FACTOR)


def test_the_series_own_zone_settles_it():
    found = factors_of(of(RadiopharmaceuticalStartDateTime="20250301090000+0000", TimezoneOffsetFromUTC="+0100"))
    assert found[0] == pytest.approx(FACTOR)
    assert found.notes == ()


@pytest.mark.parametrize("start", ["20250301093000", "20250301090700+0000", "20250301110000"])
def test_a_date_and_a_time_that_contradict_each_other_are_refused(start):
    said = reason_of(of(RadiopharmaceuticalStartDateTime=start))
    assert f"RadiopharmaceuticalStartDateTime (0018,1078) {start}" in said
    assert "RadiopharmaceuticalStartTime (0018,1072) 100000 contradict each other" in said


def test_seconds_left_out_are_no_contradiction():
    found = factors_of(of(RadiopharmaceuticalStartDateTime="20250301100000", RadiopharmaceuticalStartTime="1000"))
    assert found[0] == pytest.approx(FACTOR)
    assert found.notes == ()
