"""QIDO-RS searches over rows of DICOM JSON: matching, included attributes and paging (PS3.18 8.3.4, PS3.4 C.2.2.2)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from lib.store.bad_request import BadRequest
from lib.store.dicom_instance import Row, values_of

Query = Sequence[tuple[str, str]]
ALWAYS = ("SpecificCharacterSet", "StudyInstanceUID")
STUDY_KEYS = (
    *("StudyDate", "StudyTime", "AccessionNumber", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDescription", "ReferringPhysicianName", "ModalitiesInStudy"),
    *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
)
SERIES_KEYS = (
    *("Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "SeriesDate", "SeriesTime"),
    *("BodyPartExamined", "NumberOfSeriesRelatedInstances"),
)
INSTANCE_KEYS = (
    *("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"),
    *("SeriesInstanceUID",),
)
NO_FILTERS = ("limit", "offset", "includefield", "fuzzymatching", "emptyvaluematching")
LISTS = ("Modality", "ModalitiesInStudy")  # OHIF asks for several at once
DATES = re.compile(r"(\d{8})?(-(\d{8})?)?")
TIMES = re.compile(r"[\d.]*(-[\d.]*)?")


def tag_of(keyword: str) -> str:
    """A keyword's place in DICOM JSON: "00100020" for PatientID.

    Raises:
        BadRequest: no such attribute.
    """
    number = tag_for_keyword(keyword)
    if number is None:
        raise BadRequest(f"{keyword!r} is no DICOM attribute"[:200])
    return f"{number:08X}"


def search(rows: Iterable[Row], keys: Sequence[str], query: Query) -> list[Row]:
    """The rows that match every filter, cut to what is asked for, from `offset` on and at most `limit`.

    Args:
        rows: with all that may be matched.
        keys: keywords of what is always sent.
        query: name and value in the request's order; attributes by keyword or as GGGGEEEE.

    Raises:
        BadRequest: an attribute that is none, a date that is none, or a limit that is no number.
    """
    filters = [_filter(name, value) for name, value in query if name.lower() not in NO_FILTERS and value]
    offset, limit = _whole("offset", query) or 0, _whole("limit", query)
    sent = {tag_of(keyword) for keyword in (*ALWAYS, *keys)}
    everything = False
    for field in (part for name, value in query if name.lower() == "includefield" for part in value.split(",")):
        everything |= field == "all"
        if field and field != "all":
            sent.add(tag_of(_keyword(field.split(".")[0])))
    found = [row for row in rows if all(matches(row) for matches in filters)]
    found = found[offset:] if limit is None else found[offset : offset + limit]
    return [
        {tag: entry for tag, entry in row.items() if (everything or tag in sent) and "BulkDataURI" not in entry}
        for row in found
    ]


def _whole(name: str, query: Query) -> int | None:
    text = dict(query).get(name)
    if not text:
        return None
    if not re.fullmatch(r"\d{1,9}", text):
        raise BadRequest(f"{name} must be a whole number of 0 or more, got {text[:40]!r}")
    return int(text)


def _keyword(name: str) -> str:
    keyword = keyword_for_tag(int(name, 16)) if re.fullmatch(r"[0-9A-Fa-f]{8}", name) else name
    if not keyword or tag_for_keyword(keyword) is None:
        raise BadRequest(f"{name!r} is no DICOM attribute to search by"[:200])
    return keyword


def _filter(name: str, value: str) -> Callable[[Row], bool]:
    keyword = _keyword(name.split(".")[0])
    tag, vr = tag_of(keyword), dictionary_VR(keyword)
    if vr == "DA" and not DATES.fullmatch(value):
        raise BadRequest(f"{keyword} is YYYYMMDD or a range, YYYYMMDD-YYYYMMDD, got {value[:40]!r}")
    if vr == "TM" and not TIMES.fullmatch(value):
        raise BadRequest(f"{keyword} is HHMMSS or a range, HHMMSS-HHMMSS, got {value[:40]!r}")
    wanted = re.split(r"[,\\]", value) if vr == "UI" or keyword in LISTS else [value]
    return lambda row: any(_equal(text, one, vr) for text in values_of(row, tag) or [""] for one in wanted)


def _equal(text: str, wanted: str, vr: str) -> bool:
    if vr in ("DA", "TM") and "-" in wanted:
        low, _, high = wanted.partition("-")
        return bool(text) and (not low or text >= low) and (not high or text[: len(high)] <= high)
    if vr in ("DA", "TM", "UI"):
        return text == wanted
    if vr == "PN":  # of a name upper and lower case are alike
        text, wanted = text.lower(), wanted.lower()
    return fnmatch.fnmatchcase(text, wanted.replace("[", "[[]"))
