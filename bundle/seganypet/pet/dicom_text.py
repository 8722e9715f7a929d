"""Text in the DICOM files that are written: as one value, and in which character set."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset

UTF_8 = "ISO_IR 192"


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
