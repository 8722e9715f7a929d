"""How much of the injected dose is left at the moment to which a slice's values were decay-corrected."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seganypet.pet.dicom_time import datetime_of
from seganypet.pet.errors import SuvUnavailableError
from seganypet.pet.headers import SeriesHeaders, named
from seganypet.pet.injection import LONGEST_WAIT_HALF_LIVES, injection_moment, moment_of

ONE_REFERENCE_HALF_LIVES = 1.5e-3
"""References of a series that are apart by less are one: a thousandth in SUV, ten seconds for F-18."""
ODD_HALF_LIVES = 0.0144
"""One per cent in SUV: what two fields may disagree by without a word."""
SAME_SECOND = timedelta(seconds=1)
"""Times of one moment differ by rounding: "123514.999995" and "123515"."""


def average_count_time_s(duration_s: ArrayLike, half_life_s: float) -> NDArray[np.float64]:
    """Moment within a frame at which the activity equals the frame's mean, in seconds from its start.

    ln(λT / (1 − e^(−λT))) / λ, which is T/2 for frames much shorter than the half-life.
    """
    decay = np.log(2.0) / half_life_s
    x = decay * np.asarray(duration_s, dtype=np.float64)
    safe = np.where(x > 1e-8, x, 1.0)
    return np.where(x > 1e-8, np.log(safe / -np.expm1(-safe)), x / 2) / decay


def dose_left(headers: SeriesHeaders, correction: str, notes: list[str]) -> tuple[NDArray[np.float64], str]:
    """Share of the injected dose that is left at each slice's reference time.

    Args:
        headers: of the series; the fields that the rule needs are read, and no others.
        correction: DecayCorrection, "ADMIN", "START" or "NONE".
        notes: gets what was assumed.

    Returns:
        [slices] shares in (0, 1], and the rule in words.

    Raises:
        SuvUnavailableError: a field that the rule needs is missing, or dates that do not fit, both named.
    """
    if correction == "ADMIN":
        return np.ones(len(headers)), "decay-corrected to injection (ADMIN)"
    if correction not in ("START", "NONE"):
        raise SuvUnavailableError(f"{named('DecayCorrection')} is {correction!r}, not START, ADMIN or NONE")
    half_life_s = headers.number("RadionuclideHalfLife")
    if correction == "START":
        reference, fields, rule = _start_reference(headers, half_life_s, notes)
    else:
        fields = ("AcquisitionDate", "AcquisitionTime")
        reference = _later(_acquisition(headers), average_count_time_s(_durations_s(headers), half_life_s))
        rule = "not decay-corrected (NONE), each slice at its mean count"
    injection, injection_field = injection_moment(headers, min(reference), half_life_s, notes)
    elapsed_s = np.array([(moment - injection).total_seconds() for moment in reference])
    if elapsed_s.min() < 0 or elapsed_s.max() > LONGEST_WAIT_HALF_LIVES * half_life_s:
        wait_h = (elapsed_s.min() if elapsed_s.min() < 0 else elapsed_s.max()) / 3600
        relation = "after" if wait_h < 0 else f"({wait_h * 3600 / half_life_s:.0f} half-lives) before"
        injected, *scanned = [f"{named(field)} {headers.used[named(field)]}" for field in (injection_field, *fields)]
        raise SuvUnavailableError(
            f"{injected} lies {abs(wait_h):.2f} h {relation} the scan, {', '.join(scanned)}: the dates do not fit"
        )
    return np.exp2(-elapsed_s / half_life_s), rule


def _start_reference(
    headers: SeriesHeaders, half_life_s: float, notes: list[str]
) -> tuple[list[datetime], tuple[str, ...], str]:
    """Per slice, the moment to which START corrected it; the fields that say so; the rule in words."""
    if headers.has("GEScanDateTime"):
        text = headers.text("GEScanDateTime")
        try:
            moment = datetime_of(text)
        except ValueError as error:
            raise SuvUnavailableError(f"{named('GEScanDateTime')}: {error}") from None
        _check_ge_time(headers, moment, half_life_s)
        return [moment] * len(headers), ("GEScanDateTime",), "decayed to GE's scan time (START)"
    series, acquisition = _series_moment(headers), _acquisition(headers)
    if series <= min(acquisition) + SAME_SECOND:
        _note_other_reference(headers, series, half_life_s, notes)
        return [series] * len(headers), ("SeriesDate", "SeriesTime"), "decayed to SeriesTime (START)"
    # the series time is that of a later reconstruction: the frames themselves say what they were corrected to
    reference, rule = _reference_of_frames(headers, acquisition, half_life_s)
    return [reference] * len(headers), ("AcquisitionDate", "AcquisitionTime"), rule


def _check_ge_time(headers: SeriesHeaders, moment: datetime, half_life_s: float) -> None:
    """Raises where GE's scan time lies after a frame that is said to be corrected to it."""
    looked_at = SeriesHeaders(headers.headers)  # what is only held against it is not what was used
    if not (looked_at.has("AcquisitionDate") and looked_at.has("AcquisitionTime")):
        return
    late_s = (moment - min(_acquisition(looked_at))).total_seconds()
    if late_s > _tolerance_s(half_life_s):
        raise SuvUnavailableError(
            f"{named('GEScanDateTime')} {headers.used[named('GEScanDateTime')]} lies {late_s / 60:.1f} min after "
            f"{named('AcquisitionTime')} {looked_at.used[named('AcquisitionTime')]}: what the series was corrected to "
            "is not known"
        )


def _note_other_reference(headers: SeriesHeaders, series: datetime, half_life_s: float, notes: list[str]) -> None:
    """Say so where the frames' own times give another reference than SeriesTime, which is taken by the standard."""
    looked_at = SeriesHeaders(headers.headers)
    if not (looked_at.has("FrameReferenceTime") and looked_at.has("ActualFrameDuration")):
        return
    try:
        moment, _ = _reference_of_frames(looked_at, _acquisition(looked_at), half_life_s)
    except SuvUnavailableError:
        return
    late_s = (moment - series).total_seconds()
    if abs(late_s) > ODD_HALF_LIVES * half_life_s:
        notes.append(
            f"{named('SeriesTime')} {headers.used[named('SeriesTime')]} was taken for what START corrected to; by "
            f"{named('FrameReferenceTime')} that is {moment:%H:%M:%S}, which makes SUV "
            f"{np.exp2(late_s / half_life_s):.3g} times as high"
        )


def _tolerance_s(half_life_s: float) -> float:
    return max(1.0, ONE_REFERENCE_HALF_LIVES * half_life_s)


def _reference_of_frames(
    headers: SeriesHeaders, acquisition: list[datetime], half_life_s: float
) -> tuple[datetime, str]:
    """The one moment that a series was corrected to, by START, from its frames' times; and the rule in words.

    FrameReferenceTime is the mean count's distance from it by the standard; GE writes the frame's start instead, with
    each bed's own AcquisitionTime or with the first bed's in all. START means one reference for a series, which lies
    not after a frame begins: of the three readings the first that gives such a one is right.

    Raises:
        SuvUnavailableError: none does.
    """
    offset_s = headers.numbers("FrameReferenceTime") / 1000.0
    mean_count_s = average_count_time_s(_durations_s(headers), half_life_s)
    began_s = np.array([(moment - acquisition[0]).total_seconds() for moment in acquisition])
    tolerance_s = _tolerance_s(half_life_s)
    readings = (
        (began_s + mean_count_s - offset_s, began_s, "AcquisitionTime + mean count − FrameReferenceTime"),
        (began_s - offset_s, began_s, "AcquisitionTime − FrameReferenceTime, the frame's start"),
        (began_s, began_s + offset_s, "AcquisitionTime, from which FrameReferenceTime counts the frames' starts"),
    )
    for reference_s, frame_began_s, words in readings:
        one = float(np.ptp(reference_s)) <= tolerance_s
        if one and (reference_s <= frame_began_s + tolerance_s).all():
            moment = acquisition[0] + timedelta(seconds=float(np.median(reference_s)))
            return moment, f"decayed to {words} (START, SeriesTime lies after acquisition)"
    raise SuvUnavailableError(
        f"{named('AcquisitionTime')} {headers.used[named('AcquisitionTime')]} and {named('FrameReferenceTime')} "
        f"{headers.used[named('FrameReferenceTime')]} give no one moment that the series was corrected to (START)"
    )


def _series_moment(headers: SeriesHeaders) -> datetime:
    return moment_of("SeriesTime", headers.text("SeriesDate"), headers.text("SeriesTime"))


def _acquisition(headers: SeriesHeaders) -> list[datetime]:
    dates, times = headers.texts("AcquisitionDate"), headers.texts("AcquisitionTime")
    return [moment_of("AcquisitionTime", date, time) for date, time in zip(dates, times, strict=True)]


def _durations_s(headers: SeriesHeaders) -> NDArray[np.float64]:
    return headers.numbers("ActualFrameDuration", above_zero=True) / 1000.0


def _later(moments: list[datetime], seconds: NDArray[np.float64]) -> list[datetime]:
    return [moment + timedelta(seconds=float(wait)) for moment, wait in zip(moments, seconds, strict=True)]
