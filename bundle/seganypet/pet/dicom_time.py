"""DICOM dates and times (VR DA, TM, DT; PS3.5 section 6.2) as Python's."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_DATE = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?")
_DATETIME = re.compile(r"(\d{8})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)([+-]\d{4})?")


def date_and_time(date: str, time: str) -> datetime:
    """A DA and a TM value together, wall-clock time.

    Raises:
        ValueError: either is not what DICOM allows; the message shows it.
    """
    date_match, time_match = _DATE.fullmatch(date.strip()), _TIME.fullmatch(time.strip())
    if date_match is None:
        raise ValueError(f"{date!r} is no DICOM date")
    if time_match is None:
        raise ValueError(f"{time!r} is no DICOM time")
    hours, minutes, seconds, fraction = time_match.groups(default="0")
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 60:
        raise ValueError(f"{time!r} is no DICOM time")
    try:
        day = datetime(*(int(part) for part in date_match.groups()))  # type: ignore[arg-type]
    except ValueError:
        raise ValueError(f"{date!r} is no DICOM date") from None
    microseconds = int(fraction.ljust(6, "0"))
    return day + timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds), microseconds=microseconds)


def datetime_of(text: str, utc_offset: str | None = None) -> datetime:
    """A DT value as wall-clock time at the scanner.

    Args:
        text: the value; an offset from UTC at its end is converted where `utc_offset` says the scanner's own, and
            otherwise taken to be the scanner's.
        utc_offset: TimezoneOffsetFromUTC (0008,0201) of the series, "+0100".

    Raises:
        ValueError: not a DT value, or one without an hour.
    """
    match = _DATETIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no DICOM date with time")
    date, time, own_offset = match.groups()
    moment = date_and_time(date, time)
    if own_offset is not None and utc_offset is not None:
        moment += _offset(utc_offset) - _offset(own_offset)
    return moment


def has_offset(text: str) -> bool:
    """Whether a DT value names its offset from UTC."""
    match = _DATETIME.fullmatch(text.strip())
    return match is not None and match[3] is not None


def _offset(text: str) -> timedelta:
    match = re.fullmatch(r"([+-])(\d{2})(\d{2})", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no offset from UTC")
    sign, hours, minutes = match.groups()
    return timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
