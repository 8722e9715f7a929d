"""DICOMweb over a studies folder, so that OHIF opens it without an archive: QIDO-RS and WADO-RS (PS3.18 10.4, 10.6)."""

from __future__ import annotations

import fnmatch
import io
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from fastapi import HTTPException
from fastapi.responses import JSONResponse, Response
from PIL import Image
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from lib.store.bad_request import BadRequest
from lib.store.folder_instances import FolderInstances, Instance
from seganypet.pet import PetReadError

DICOM_JSON, DICOM = "application/dicom+json", "application/dicom"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
THUMBNAIL = 128
UID = r"[\d.]{1,64}"
RESOURCE = re.compile(
    rf"(?:studies(?:/(?P<study>{UID}))?)?"
    rf"(?:/?(?P<all_series>series)(?:/(?P<series>{UID}))?)?"
    rf"(?:/?(?P<all_instances>instances)(?:/(?P<instance>{UID}))?)?"
    r"(?:/frames/(?P<frames>[\d,]+))?"
    r"(?:/(?P<form>metadata|rendered|thumbnail))?"
)
STUDY_KEYS = (
    *("StudyDate", "StudyTime", "AccessionNumber", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyID", "StudyDescription", "ReferringPhysicianName"),
)
SERIES_KEYS = (
    *("Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "SeriesDate", "SeriesTime"),
    *("StudyInstanceUID", "BodyPartExamined"),
)
INSTANCE_KEYS = (
    *("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"),
    *("SeriesInstanceUID", "StudyInstanceUID"),
)
NO_FILTERS = ("limit", "offset", "includefield", "fuzzymatching")


def answer(instances: FolderInstances, path: str, query: Sequence[tuple[str, str]], accept: str = "") -> Response:
    """The answer to a GET below the DICOMweb root.

    Args:
        instances: of the folder.
        path: "studies/<uid>/series" and so on.
        query: of the request, in order.
        accept: of the request; "application/dicom" without multipart sends one instance plainly.

    Raises:
        BadRequest: a filter that is none.
        HTTPException: 404 for a resource that is not there, 422 for pixels that cannot be decoded.
    """
    found = RESOURCE.fullmatch(path.strip("/"))
    if found is None or not path.strip("/"):
        raise HTTPException(404, f"there is no DICOMweb resource {path!r}"[:200])
    study, series, instance = (found[name] or "" for name in ("study", "series", "instance"))
    if found["form"] is None and found["frames"] is None and not instance:
        if found["all_instances"]:
            return _search(_instances(instances, study, series), INSTANCE_KEYS, query)
        if found["all_series"] and not series:
            return _search((_series_row(one) for one in instances.series(study)), SERIES_KEYS, query)
        if not study and not series:
            return _search(_studies(instances), STUDY_KEYS, query)
    chosen = [one for group in instances.series(study, series) for one in group if instance in ("", one.uid)]
    if not chosen:
        raise HTTPException(404, f"there is no DICOM object {path!r} in this folder"[:300])
    try:
        return _retrieved(chosen, found["frames"], found["form"], accept)
    except PetReadError as error:
        raise HTTPException(422, str(error)) from None


def _retrieved(chosen: list[Instance], frames: str | None, form: str | None, accept: str) -> Response:
    if form == "metadata":
        return JSONResponse([_metadata(one) for one in chosen], media_type=DICOM_JSON)
    if form is not None:
        middle = chosen[len(chosen) // 2]
        number = int(frames.split(",")[0]) if frames else 1
        return _rendered(middle, number, THUMBNAIL if form == "thumbnail" else 0, accept)
    if frames is not None:
        stored = chosen[0].frames()
        numbers = [int(n) for n in frames.split(",") if n]
        if not numbers or not all(1 <= n <= len(stored) for n in numbers):
            raise HTTPException(404, f"frames {frames} of {len(stored)} are not there")
        part = f"application/octet-stream; transfer-syntax={EXPLICIT_LITTLE}"
        return _multipart("application/octet-stream", part, [stored[n - 1] for n in numbers])
    if len(chosen) == 1 and accept.split(";")[0].strip() == DICOM:
        return Response(chosen[0].whole(), media_type=DICOM)
    return _multipart(DICOM, DICOM, [one.whole() for one in chosen])


def _multipart(kind: str, part: str, contents: Iterable[bytes]) -> Response:
    boundary = uuid.uuid4().hex
    pieces = [f"--{boundary}\r\nContent-Type: {part}\r\n\r\n".encode() + content + b"\r\n" for content in contents]
    body = b"".join([*pieces, f"--{boundary}--\r\n".encode()])
    return Response(body, media_type=f'multipart/related; type="{kind}"; boundary={boundary}')


def _metadata(instance: Instance) -> dict[str, Any]:
    """DICOM JSON of all but the pixels and what else is large."""
    sent = Dataset()
    for element in instance.header:
        if element.VR not in ("OB", "OW", "OF", "OD", "UN", "OV", "OL") or len(element.value or b"") <= 256:
            sent[element.tag] = element
    shown: dict[str, Any] = sent.to_json_dict(suppress_invalid_tags=True)
    return shown


def _studies(instances: FolderInstances) -> Iterable[Dataset]:
    studies: dict[str, list[list[Instance]]] = {}
    for series in instances.series():
        studies.setdefault(str(series[0].header.get("StudyInstanceUID", "")), []).append(series)
    for members in studies.values():
        row = _copied(members[0][0].header, STUDY_KEYS)
        row.ModalitiesInStudy = sorted({str(one[0].header.get("Modality", "")) for one in members})
        row.NumberOfStudyRelatedSeries = len(members)
        row.NumberOfStudyRelatedInstances = sum(len(one) for one in members)
        yield row


def _series_row(series: list[Instance]) -> Dataset:
    row = _copied(series[0].header, [*SERIES_KEYS, *STUDY_KEYS])
    row.NumberOfSeriesRelatedInstances = len(series)
    return row


def _instances(instances: FolderInstances, study: str, series: str) -> Iterable[Dataset]:
    for group in instances.series(study, series):
        for one in group:
            yield _copied(one.header, [*INSTANCE_KEYS, "Modality", *STUDY_KEYS])


def _copied(header: Dataset, keys: Iterable[str]) -> Dataset:
    row = Dataset()
    if "SpecificCharacterSet" in header:
        row.SpecificCharacterSet = header.SpecificCharacterSet
    for key in keys:
        if key in header:
            row[key] = header[key]
    return row


def _search(rows: Iterable[Dataset], keys: Sequence[str], query: Sequence[tuple[str, str]]) -> Response:
    """QIDO's filters: equal, wildcards, ranges of dates and times, lists of UIDs; then offset and limit."""
    filters = [_filter(name, value) for name, value in query if name not in NO_FILTERS and value]
    found = [row for row in rows if all(test(row) for test in filters)]
    paging = dict(query)
    try:
        offset, limit = max(0, int(paging.get("offset", 0))), int(paging.get("limit", len(found)))
    except ValueError:
        raise BadRequest("limit and offset must be whole numbers") from None
    page = found[offset : offset + max(0, limit)]
    return JSONResponse([row.to_json_dict() for row in page], media_type=DICOM_JSON)


def _filter(name: str, value: str) -> Callable[[Dataset], bool]:
    keyword = name
    if re.fullmatch(r"[0-9A-Fa-f]{8}", name):
        keyword = keyword_for_tag(int(name, 16))
    if not keyword or tag_for_keyword(keyword) is None:
        raise BadRequest(f"{name!r} is no DICOM attribute to search by"[:200])
    values = value.split(",") if keyword.endswith("UID") else [value]

    def matches(row: Dataset) -> bool:
        held = row.get(keyword)
        several = held if isinstance(held, MultiValue | list) else [held]
        texts = ["" if one is None else str(one) for one in several]
        return any(_equal(text, wanted, keyword) for text in texts for wanted in values)

    return matches


def _equal(text: str, wanted: str, keyword: str) -> bool:
    if keyword.endswith(("Date", "Time")) and "-" in wanted:
        low, _, high = wanted.partition("-")
        return bool(text) and (not low or text >= low) and (not high or text[: len(high)] <= high)
    if "*" in wanted or "?" in wanted or keyword == "PatientName":
        return fnmatch.fnmatchcase(text.lower(), wanted.lower().replace("[", "[[]"))
    return text == wanted


def _rendered(instance: Instance, number: int, side: int, accept: str) -> Response:
    """A frame as a picture, dark where there is much uptake, as PET is read."""
    stored, header = instance.frames(), instance.header
    if not 1 <= number <= len(stored):
        raise HTTPException(404, f"frame {number} of {len(stored)} is not there")
    rows, columns, bits = int(header.Rows), int(header.Columns), int(header.BitsAllocated)
    if bits == 1:
        flat = np.unpackbits(np.frombuffer(stored[number - 1], np.uint8), bitorder="little")[: rows * columns]
    else:
        kind = "i" if int(header.get("PixelRepresentation", 0)) else "u"
        flat = np.frombuffer(stored[number - 1], f"<{kind}{bits // 8}")
    pixels = flat.reshape(rows, columns).astype(np.float64)
    pixels -= pixels.min()
    grey = 255 - 255 * pixels / max(pixels.max(), 1)
    picture = Image.fromarray(grey.astype(np.uint8))
    if side:
        picture.thumbnail((side, side))
    content, form = io.BytesIO(), "PNG" if "png" in accept else "JPEG"
    picture.save(content, form)
    return Response(content.getvalue(), media_type=f"image/{form.lower()}")
