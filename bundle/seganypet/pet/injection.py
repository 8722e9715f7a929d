"""When the tracer was injected, from fields that say it twice, without a date, or by another clock."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from seganypet.pet.dicom_time import date_and_time, datetime_of, has_offset
from seganypet.pet.errors import SuvUnavailableError
from seganypet.pet.headers import SeriesHeaders, named

START_DATETIME, START_TIME = "RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStartTime"
LONGEST_WAIT_HALF_LIVES = 10.0
"""A thousandth of the dose is left after ten half-lives; nobody images that, so dates that say it do not fit."""
SAME_MOMENT = timedelta(seconds=60)
"""Two fields that are apart by less tell the same moment; one is often written without seconds."""
CLOCK = timedelta(minutes=15)
"""By how much the injector's clock may be ahead of the scanner's."""
CLOCK_HALF_LIVES = 0.1  # and by how much decay that may matter
ZONE_STEP, LARGEST_ZONE = timedelta(minutes=15), timedelta(hours=14)


def injection_moment(
    headers: SeriesHeaders, scan: datetime, half_life_s: float, notes: list[str]
) -> tuple[datetime, str]:
    """The moment of injection by the scanner's clock, and the field that it came from.

    With a date of its own it is taken as written, compared with the time alone where both are there. The time alone
    stands for the one day that fits: within ten half-lives before the scan. Where several days fit, as for a nuclide
    that is imaged days later, the day is not known.

    Args:
        headers: of the series.
        scan: the earliest moment that a slice was decay-corrected to.
        half_life_s: of the nuclide.
        notes: gets what was assumed.

    Raises:
        SuvUnavailableError: no moment, fields that contradict each other, or a day that cannot be told; named.
    """
    if headers.has(START_DATETIME):
        injection = _with_date(headers, notes)
        return _not_after(injection, scan, half_life_s, START_DATETIME, headers, notes), START_DATETIME
    text = headers.text(START_TIME)
    same_day = moment_of(START_TIME, f"{scan:%Y%m%d}", text)
    longest = timedelta(seconds=LONGEST_WAIT_HALF_LIVES * half_life_s)
    # who waits for days may scan at the hour of the injection
    clock = _clock(half_life_s) if longest < timedelta(days=1) else SAME_MOMENT
    if timedelta() < same_day - scan <= clock:
        return _not_after(same_day, scan, half_life_s, START_TIME, headers, notes), START_TIME
    days = [same_day - timedelta(days=n) for n in range(2 + longest.days)]
    fitting = [moment for moment in days if timedelta() <= scan - moment <= longest]
    if not fitting:
        return next(moment for moment in days if moment <= scan), START_TIME  # refused with the wait it would mean
    if len(fitting) > 1:
        raise SuvUnavailableError(
            f"{named(START_TIME)} {text} has no date, and with a half-life of {half_life_s / 3600:.1f} h it fits "
            f"{len(fitting)} days, the last {fitting[0]:%Y-%m-%d}: {named(START_DATETIME)} is needed"
        )
    if fitting[0].date() != scan.date():
        notes.append(
            f"{named(START_TIME)} {text} has no date and was taken as of the day before, {fitting[0]:%Y-%m-%d}"
        )
    return fitting[0], START_TIME


def moment_of(keyword: str, date: str, time: str) -> datetime:
    """A date and a time, or an error that names the field."""
    try:
        return date_and_time(date, time)
    except ValueError as error:
        raise SuvUnavailableError(f"{named(keyword)} or its date: {error}") from None


def _with_date(headers: SeriesHeaders, notes: list[str]) -> datetime:
    """The dated field, held against the time alone: the same moment, or the same in another zone."""
    text = headers.text(START_DATETIME)
    if re.fullmatch(r"\d{8}", text) and headers.has(START_TIME):  # a date alone, as DT allows
        return moment_of(START_TIME, text, headers.text(START_TIME))
    zone = headers.text("TimezoneOffsetFromUTC") if headers.has("TimezoneOffsetFromUTC") else None
    try:
        injection = datetime_of(text, zone)
    except ValueError as error:
        raise SuvUnavailableError(f"{named(START_DATETIME)}: {error}") from None
    if not headers.has(START_TIME):
        if zone is None and has_offset(text):
            notes.append(f"{named(START_DATETIME)} {text} has a zone and the series has none: it was taken as local")
        return injection
    time = headers.text(START_TIME)
    local = moment_of(START_TIME, f"{injection:%Y%m%d}", time)
    apart = min((local + timedelta(days=n) - injection for n in (-1, 0, 1)), key=abs)
    if abs(apart) <= SAME_MOMENT:
        return injection
    whole_zone = abs(apart / ZONE_STEP - round(apart / ZONE_STEP)) * ZONE_STEP <= SAME_MOMENT
    if zone is None and has_offset(text) and whole_zone and abs(apart) <= LARGEST_ZONE:
        notes.append(
            f"{named(START_DATETIME)} {text} is in another zone than {named(START_TIME)} {time}, which was taken"
        )
        return injection + apart
    raise SuvUnavailableError(f"{named(START_DATETIME)} {text} and {named(START_TIME)} {time} contradict each other")


def _clock(half_life_s: float) -> timedelta:
    return min(CLOCK, timedelta(seconds=CLOCK_HALF_LIVES * half_life_s))


def _not_after(
    injection: datetime, scan: datetime, half_life_s: float, field: str, headers: SeriesHeaders, notes: list[str]
) -> datetime:
    """An injection a little after the scan is one by another clock: it counts as at the scan, and a note says so."""
    late = injection - scan
    if late <= timedelta() or late > _clock(half_life_s):
        return injection
    notes.append(
        f"{named(field)} {headers.used[named(field)]} lies {late.total_seconds():.0f} s after the scan: taken as "
        "another clock's, the injection as at the scan's start"
    )
    return scan
