"""What the DICOM files that are written share: who made them, when, and text in the patient's own character set."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from seganypet.version import version

UTF_8 = "ISO_IR 192"
MANUFACTURER, PROGRAM = "SegAnyPET", "SegAnyPET for MONAI"


def new_series(number: int, description: str) -> dict[str, Any]:
    """Arguments of a highdicom object that is the first and only one of a series of this program."""
    return {
        "series_instance_uid": generate_uid(),
        "series_number": number,
        "series_description": description,
        "sop_instance_uid": generate_uid(),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": PROGRAM,
        "software_versions": version(),
        "device_serial_number": "0",
    }


def save_dated(written: Dataset, source: Dataset, texts: Iterable[str], path: str | Path) -> Path:
    """Write a highdicom object with its series' date and time and a character set that its texts fit.

    Args:
        written: the object.
        source: what the patient's name came from.
        texts: of this program's or its reader's, in the object.
        path: of the file; its folder is made.

    Returns:
        The path.
    """
    # of several objects of a study an archive tells the newest by these, which highdicom leaves out
    written.SeriesDate, written.SeriesTime = written.ContentDate, written.ContentTime
    written.SpecificCharacterSet = character_set(source, texts)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    written.save_as(path)
    return path


def character_set(header: Dataset, texts: Iterable[str]) -> str | list[str]:
    """The series' own character set, so that the patient keeps the name; UTF-8 where a text does not fit it."""
    own = header.get("SpecificCharacterSet") or "ISO_IR 6"
    own = own if isinstance(own, str) else [str(part) for part in own]
    try:
        encodings = convert_encodings(own)
        for text in texts:
            if not any(_fits(text, encoding) for encoding in encodings):
                return UTF_8
    except LookupError:
        return UTF_8
    return own


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def one_text(label: str) -> str:
    """A label as one value of at most 64 characters: DICOM splits at a backslash and allows no control characters."""
    written = label.replace("\\", "/")
    return "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in written).strip()[:64].strip()
