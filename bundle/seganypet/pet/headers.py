"""Reading header fields of a PET series, so that what is missing or odd is named and what was used is remembered."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from seganypet.pet.dicom_file import BROKEN
from seganypet.pet.errors import SuvUnavailableError

Header = Dataset | Mapping[str, Any]

TRACER = "RadiopharmaceuticalInformationSequence"
_OF_THE_TRACER = {
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
}
# private fields: keyword → group, element within the block, private creator, where a plain mapping keeps it
_PRIVATE = {
    "PhilipsSUVScaleFactor": (0x7053, 0x00, "Philips PET Private Group", ("PhilipsPETPrivateGroup", "SUVScaleFactor")),
    "PhilipsActivityConcentrationScaleFactor": (
        0x7053,
        0x09,
        "Philips PET Private Group",
        ("PhilipsPETPrivateGroup", "ActivityConcentrationScaleFactor"),
    ),
    "GEScanDateTime": (0x0009, 0x0D, "GEMS_PETD_01", ("GEPrivatePostInjectionDateTime",)),
}


def named(keyword: str) -> str:
    """The keyword with its tag, as messages and provenance name it: "PatientWeight (0010,1030)"."""
    if keyword in _PRIVATE:
        group, element, _, _ = _PRIVATE[keyword]
        return f"{keyword} ({group:04X},{0x1000 + element:04X})"
    number = tag_for_keyword(keyword)
    if number is None:
        raise KeyError(f"no DICOM keyword: {keyword}")
    return f"{keyword} ({number >> 16:04X},{number & 0xFFFF:04X})"


def text_of(value: Any) -> str | None:
    """A header value as text: values joined by a backslash as in the file, None where the field is empty."""
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    if not isinstance(value, str) and isinstance(value, Sequence):
        value = "\\".join(str(part).strip() for part in value)
    return str(value).strip(" \0") or None


def header_text(header: Header, keyword: str) -> str | None:
    """One field as text, None where it is missing or empty; what cannot be converted comes as it stands in the file."""
    try:
        return text_of(header.get(keyword))
    except BROKEN:  # pydicom converts when it is asked
        pass
    try:
        return text_of(header.get_item(keyword).value) if isinstance(header, Dataset) else None
    except BROKEN:  # there is nothing to come as it stands
        return None


def canonical(keyword: str, text: str) -> str:
    """A field's value in one writing: "75.0" is "75", "110000.000000" is "110000", "start" is "START"."""
    number = tag_for_keyword(keyword)
    vr = "" if number is None else dictionary_VR(number)
    return "\\".join(_canonical_value(vr, part.strip()) for part in text.split("\\"))


def _canonical_value(vr: str, text: str) -> str:
    if vr in ("DS", "IS", "FD", "FL", "US", "SS", "UL", "SL"):
        try:
            return repr(float(text))
        except ValueError:
            return text
    if vr in ("TM", "DT"):
        digits, _, fraction = text.replace(":", "").partition(".")
        digits = digits.ljust(6 if vr == "TM" else 14, "0") if digits.isdigit() else digits
        return f"{digits}.{fraction.rstrip('0')}".rstrip(".")
    if vr == "DA":
        return text.replace(".", "").replace("-", "")
    if vr == "PN":  # in Latin letters: an archive may lose the others
        return text.partition("=")[0].rstrip("^ ")
    return text.upper() if vr == "CS" else text


def values_of(text: str) -> list[str]:
    """The values of a text of several, in capitals; some write commas where DICOM has backslashes."""
    return [part.strip().upper() for part in re.split(r"[\\\\,;]", text) if part.strip()]


class SeriesHeaders:
    """The headers of one series, slice by slice. `used` collects the fields that were asked for and found.

    Args:
        headers: pydicom Datasets, or mappings keyed by DICOM keyword. The radiopharmaceutical's fields are looked for
            in its sequence and, where there is none, at the top level.

    Raises:
        ValueError: no header at all.
    """

    def __init__(self, headers: Sequence[Header]) -> None:
        self.headers = list(headers)
        if not self.headers:
            raise ValueError("a series needs at least one header, got none")
        self.used: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.headers)

    def has(self, keyword: str) -> bool:
        """Whether every slice has the field, filled in."""
        return all(texts_in(header, keyword) for header in self.headers)

    def text(self, keyword: str) -> str:
        """A field that is the same in all slices.

        Raises:
            SuvUnavailableError: missing, empty, or not the same everywhere.
        """
        values: dict[str, None] = {}
        for header in self.headers:
            texts = texts_in(header, keyword)
            if not texts:
                raise SuvUnavailableError(f"{named(keyword)} is missing")
            values.update(dict.fromkeys(texts))
        if len({canonical(keyword, value) for value in values}) > 1:
            raise SuvUnavailableError(f"{named(keyword)} differs within the series: {', '.join(list(values)[:4])}")
        value = next(iter(values))
        self.used[named(keyword)] = value
        return value

    def number(self, keyword: str, *, above_zero: bool = True) -> float:
        """A number that is the same in all slices.

        Raises:
            SuvUnavailableError: missing, not a number, not the same everywhere, or not above zero.
        """
        return _number(keyword, self.text(keyword), above_zero)

    def texts(self, keyword: str) -> list[str]:
        """A field that may differ from slice to slice, one text per slice.

        Raises:
            SuvUnavailableError: missing in a slice.
        """
        values = []
        for index, header in enumerate(self.headers):
            texts = texts_in(header, keyword)
            if not texts:
                where = (
                    ""
                    if len(self) == 1 or not any(texts_in(other, keyword) for other in self.headers)
                    else (f" in header {index + 1} of {len(self)}")
                )
                raise SuvUnavailableError(f"{named(keyword)} is missing{where}")
            values.append(texts[0])
        several = len(set(values)) > 1
        self.used[named(keyword)] = f"{values[0]} … {values[-1]}" if several else values[0]
        return values

    def numbers(self, keyword: str, *, above_zero: bool = False) -> NDArray[np.float64]:
        """A number that may differ from slice to slice, [slices].

        Raises:
            SuvUnavailableError: missing or not a number in a slice, or not above zero where that is asked for.
        """
        return np.array([_number(keyword, text, above_zero) for text in self.texts(keyword)])


def _number(keyword: str, text: str, above_zero: bool) -> float:
    try:
        value = float(text)
    except ValueError:
        raise SuvUnavailableError(f"{named(keyword)} is {text!r}, not a number") from None
    if not math.isfinite(value) or (above_zero and value <= 0):
        raise SuvUnavailableError(f"{named(keyword)} is {text}, it must be above zero")
    return value


def texts_in(header: Header, keyword: str) -> list[str]:
    """All values of a field in one header that are filled in; several only where a sequence has several items."""
    if keyword in _PRIVATE:
        texts = [text_of(_private(header, keyword))]
    else:
        items = header.get(TRACER) if keyword in _OF_THE_TRACER else None
        texts = [header_text(item, keyword) for item in items or [header]]
    return [text for text in texts if text is not None]


def _private(header: Header, keyword: str) -> Any:
    group, element, creator, path = _PRIVATE[keyword]
    if isinstance(header, Dataset):
        try:
            return header.private_block(group, creator)[element].value
        except KeyError:
            pass
        if any(tag.group == group and 0x10 <= tag.element <= 0xFF for tag in header.keys()):  # noqa: SIM118  iterating would read every element
            return None  # the group has owners, and this block is another's
        # de-identification may drop the creators and leave the field in its usual block
        found = header.get(Tag(group, 0x1000 + element))
        return None if found is None else found.value
    value: Any = header
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
