"""The one moment that a series was corrected to, where SeriesTime is a later reconstruction's (START)."""

import pytest
from suv_headers import BQML, FACTOR, factors_of, reason_of

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
