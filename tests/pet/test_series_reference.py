"""The one moment that a series was corrected to, where SeriesTime is a later reconstruction's (START)."""

import pytest
from suv_headers import BQML, FACTOR, factors_of, header, reason_of

from seganypet.pet import SuvUnavailableError, suv_factors
from seganypet.pet.decay import average_count_time_s

# two beds of 240 s; SeriesTime half an hour after the scan. F-18, so that the mean count lies at 119.8 s
HALF_LIFE = 6586.2
LATE = {"SeriesTime": "123000", "RadionuclideHalfLife": str(HALF_LIFE), "ActualFrameDuration": "240000"}
MEAN_COUNT = float(average_count_time_s(240.0, HALF_LIFE))


def beds(*times, **changes):
    """Headers of beds, each (AcquisitionTime, FrameReferenceTime in seconds)."""
    return [
        BQML | LATE | changes | {"AcquisitionTime": time, "FrameReferenceTime": f"{1000 * frame:.6f}"}
        for time, frame in times
    ]


def factor(elapsed_s):
    return 80_000 / (400e6 * 2 ** (-elapsed_s / HALF_LIFE))


@pytest.mark.parametrize(
    ("frames", "elapsed_s", "words"),
    [
        # by the standard: the mean count's distance from the series' reference, 11:50:00
        ([("115000", MEAN_COUNT), ("115500", 300 + MEAN_COUNT)], 6600, "mean count"),
        # the reference may lie before the first frame: here by 100 s
        ([("115000", 100 + MEAN_COUNT), ("115500", 400 + MEAN_COUNT)], 6500, "mean count"),
        # GE: the frame's start, beside each bed's own acquisition time
        ([("115000", 0), ("115500", 300)], 6600, "the frame's start"),
        # GE: the same, beside the first bed's acquisition time in all
        ([("115000", 0), ("115000", 300)], 6600, "counts the frames' starts"),
        ([("115000", 0)], 6600, "the frame's start"),
        ([("115000", MEAN_COUNT)], 6600, "mean count"),
    ],
)
def test_each_writing_gives_the_same_reference(frames, elapsed_s, words):
    found = factors_of(beds(*frames))
    assert list(found) == pytest.approx([factor(elapsed_s)] * len(frames), rel=1e-9)
    assert words in found.rule


def test_seconds_of_rounding_are_one_reference():
    found = factors_of(beds(("115000", round(MEAN_COUNT)), ("115503", 300 + round(MEAN_COUNT))))
    assert list(found) == pytest.approx([factor(6600)] * 2, rel=5e-4)
    assert found[0] == found[1]


def test_what_gives_no_one_reference_is_refused_with_both_fields():
    said = reason_of(beds(("115000", 0), ("115500", 100)))
    assert "AcquisitionTime (0008,0032) 115000 … 115500 and FrameReferenceTime (0054,1300)" in said


def test_a_series_time_before_the_acquisition_is_the_reference():
    assert factors_of([BQML])[0] == pytest.approx(FACTOR)


def test_half_a_second_of_rounding_is_not_a_later_reconstruction():
    found = factors_of([BQML | {"AcquisitionTime": "115959.999995"}])
    assert found[0] == pytest.approx(FACTOR)
    assert "SeriesTime (START)" in found.rule


def test_frames_that_say_another_reference_than_the_series_are_a_note():
    frame = {"ActualFrameDuration": "240000", "RadionuclideHalfLife": str(HALF_LIFE), "AcquisitionTime": "123000"}
    agreeing = BQML | frame | {"FrameReferenceTime": f"{1000 * (1800 + MEAN_COUNT):.3f}"}  # counted from 12:00
    assert factors_of([agreeing]).notes == ()
    nearly = BQML | frame | {"FrameReferenceTime": f"{1000 * (1750 + MEAN_COUNT):.3f}"}  # half a per cent of SUV
    assert factors_of([nearly]).notes == ()
    other = factors_of([BQML | frame | {"FrameReferenceTime": f"{1000 * MEAN_COUNT:.3f}"}])
    assert list(other) == pytest.approx(list(factors_of([agreeing])))  # by the standard all the same
    (said,) = other.notes
    assert "SeriesTime (0008,0031) 120000" in said
    assert "by FrameReferenceTime (0054,1300) that is 12:30:00, which makes SUV 1.21 times as high" in said
    assert not any(name.startswith("FrameReferenceTime") for name in other.tags)


def test_ge_s_scan_time_after_the_frames_is_refused():
    def scanned(time):
        return [header(BQML, private=((0x0009, "GEMS_PETD_01", 0x0D, "DT", f"20250301{time}"),))]

    assert list(suv_factors(scanned("120000.00"))) == pytest.approx([FACTOR])
    with pytest.raises(SuvUnavailableError, match=r"GEScanDateTime.*20250301123000.* 30.0 min after AcquisitionTime"):
        suv_factors(scanned("123000.00"))
