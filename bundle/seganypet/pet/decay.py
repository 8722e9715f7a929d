"""How much of the injected dose is left at the moment to which a slice's values were decay-corrected."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seganypet.pet.dicom_time import date_and_time, datetime_of
from seganypet.pet.errors import SuvUnavailableError
from seganypet.pet.headers import SeriesHeaders, named

# a thousandth of the dose is left after ten half-lives; nobody images that, so dates that say it do not fit
LONGEST_WAIT_HALF_LIVES = 10.0


def average_count_time_s(duration_s: ArrayLike, half_life_s: float) -> NDArray[np.float64]:
    """Moment within a frame at which the activity equals the frame's mean, in seconds from its start.

    ln(λT / (1 − e^(−λT))) / λ, which is T/2 for frames much shorter than the half-life.
    """
    decay = np.log(2.0) / half_life_s
    x = decay * np.asarray(duration_s, dtype=np.float64)
    safe = np.where(x > 1e-8, x, 1.0)
    return np.where(x > 1e-8, np.log(safe / -np.expm1(-safe)), x / 2) / decay


def dose_left(headers: SeriesHeaders, correction: str) -> tuple[NDArray[np.float64], str]:
    """Share of the injected dose that is left at each slice's reference time.

    Args:
        headers: of the series; the fields that the rule needs are read, and no others.
        correction: DecayCorrection, "ADMIN", "START" or "NONE".

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
        reference, fields, rule = _start_reference(headers, half_life_s)
    else:
        fields = ("AcquisitionDate", "AcquisitionTime")
        reference = _later(_moments(headers, *fields), average_count_time_s(_durations_s(headers), half_life_s))
        rule = "not decay-corrected (NONE), each slice at its mean count"
    injection, injection_field = _injection(headers)
    elapsed_s = np.array([(moment - injection).total_seconds() for moment in reference])
    if elapsed_s.min() < 0 or elapsed_s.max() > LONGEST_WAIT_HALF_LIVES * half_life_s:
        wait_h = (elapsed_s.min() if elapsed_s.min() < 0 else elapsed_s.max()) / 3600
        relation = "after" if wait_h < 0 else f"({wait_h * 3600 / half_life_s:.0f} half-lives) before"
        injected, *scanned = [f"{named(field)} {headers.used[named(field)]}" for field in (injection_field, *fields)]
        raise SuvUnavailableError(
            f"{injected} lies {abs(wait_h):.2f} h {relation} the scan, {', '.join(scanned)}: the dates do not fit"
        )
    return np.exp2(-elapsed_s / half_life_s), rule


def _start_reference(headers: SeriesHeaders, half_life_s: float) -> tuple[list[datetime], tuple[str, ...], str]:
    """Per slice, the moment to which START corrected it; the fields that say so; the rule in words."""
    if headers.has("GEScanDateTime"):
        moment = _datetime(headers, "GEScanDateTime")
        return [moment] * len(headers), ("GEScanDateTime",), "decayed to GE's scan time (START)"
    series = _series_moment(headers)
    acquisition = _moments(headers, "AcquisitionDate", "AcquisitionTime")
    if series <= min(acquisition):
        return [series] * len(headers), ("SeriesDate", "SeriesTime"), "decayed to SeriesTime (START)"
    # the series time is that of a later reconstruction: go back from each frame to what it was corrected to
    frame_start_s = headers.numbers("FrameReferenceTime") / 1000.0
    reference = _later(acquisition, average_count_time_s(_durations_s(headers), half_life_s) - frame_start_s)
    rule = "decayed to AcquisitionTime + mean count − FrameReferenceTime (START, SeriesTime lies after acquisition)"
    return reference, ("AcquisitionDate", "AcquisitionTime"), rule


def _injection(headers: SeriesHeaders) -> tuple[datetime, str]:
    """Moment of injection and the field it came from."""
    if headers.has("RadiopharmaceuticalStartDateTime"):
        return _datetime(headers, "RadiopharmaceuticalStartDateTime"), "RadiopharmaceuticalStartDateTime"
    time = headers.text("RadiopharmaceuticalStartTime")
    series = _series_moment(headers)
    injection = _moment("RadiopharmaceuticalStartTime", f"{series:%Y%m%d}", time)
    if injection > series:  # it has no date of its own: injected before midnight, scanned after
        injection -= timedelta(days=1)
    return injection, "RadiopharmaceuticalStartTime"


def _series_moment(headers: SeriesHeaders) -> datetime:
    return _moment("SeriesTime", headers.text("SeriesDate"), headers.text("SeriesTime"))


def _moments(headers: SeriesHeaders, date_keyword: str, time_keyword: str) -> list[datetime]:
    dates, times = headers.texts(date_keyword), headers.texts(time_keyword)
    return [_moment(time_keyword, date, time) for date, time in zip(dates, times, strict=True)]


def _moment(keyword: str, date: str, time: str) -> datetime:
    try:
        return date_and_time(date, time)
    except ValueError as error:
        raise SuvUnavailableError(f"{named(keyword)} or its date: {error}") from None


def _datetime(headers: SeriesHeaders, keyword: str) -> datetime:
    offset = headers.text("TimezoneOffsetFromUTC") if headers.has("TimezoneOffsetFromUTC") else None
    try:
        return datetime_of(headers.text(keyword), offset)
    except SuvUnavailableError:
        raise
    except ValueError as error:
        raise SuvUnavailableError(f"{named(keyword)}: {error}") from None


def _durations_s(headers: SeriesHeaders) -> NDArray[np.float64]:
    return headers.numbers("ActualFrameDuration", above_zero=True) / 1000.0


def _later(moments: list[datetime], seconds: NDArray[np.float64]) -> list[datetime]:
    return [moment + timedelta(seconds=float(wait)) for moment, wait in zip(moments, seconds, strict=True)]
