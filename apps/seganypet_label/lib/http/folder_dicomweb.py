"""DICOMweb over a studies folder, so that OHIF opens it without an archive: QIDO-RS and WADO-RS (PS3.18 10.4, 10.6)."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from fastapi import HTTPException
from fastapi.responses import Response
from PIL import Image

from lib.http.qido import INSTANCE_KEYS, SERIES_KEYS, STUDY_KEYS, Query, search
from lib.store.dicom_instance import Instance, Row
from lib.store.folder_instances import FolderInstances, Series
from seganypet.pet import PetReadError

DICOM_JSON, DICOM, OCTETS = "application/dicom+json", "application/dicom", "application/octet-stream"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
THUMBNAIL = 128
UID = r"[\d.]{1,64}"
RESOURCE = re.compile(
    rf"(?:studies/(?P<study>{UID})(?=/|$))?"
    rf"(?:/?series/(?P<series>{UID})(?=/|$))?"
    rf"(?:/?instances/(?P<instance>{UID})(?=/|$))?"
    r"(?:/?(?P<search>studies|series|instances)"
    r"|/frames/(?P<frames>\d{1,7}(?:,\d{1,7})*)(?P<shown>/rendered|/thumbnail)?"
    r"|/bulkdata/(?P<bulk>[0-9A-Fa-f]{8})|/(?P<form>metadata|rendered|thumbnail))?"
)


def answer(instances: FolderInstances, path: str, query: Query, accept: str = "", root: str = "") -> Response:
    """The answer to a GET below the DICOMweb root.

    Args:
        instances: of the folder.
        path: "studies/<uid>/series" and so on.
        query: of the request, in order.
        accept: of the request; "application/dicom" without multipart sends one instance plainly.
        root: URL of the DICOMweb root, for what the metadata point to.

    Raises:
        BadRequest: a filter that is none.
        HTTPException: 404 for a resource that is not there, 422 for pixels that cannot be decoded.
    """
    path = path.strip("/")
    found = RESOURCE.fullmatch(path)
    if found is None or not path:
        raise HTTPException(404, f"there is no DICOMweb resource {path!r}"[:200])
    study, series, instance = (found[name] or "" for name in ("study", "series", "instance"))
    if found["search"]:
        return _json(_found(instances, found["search"], study, series, instance, query))
    chosen = [
        (group, one)
        for group in instances.series(study, series)
        for one in group.instances()
        if instance in ("", one.uid)
    ]
    if not chosen:
        raise HTTPException(404, f"there is no DICOM object {path!r} in this folder"[:300])
    try:
        if found["form"] == "metadata":
            return _json([_with_links(one.row, f"{root}/{_place(group, one)}") for group, one in chosen])
        return _retrieved([one for _, one in chosen], found, accept)
    except PetReadError as error:
        raise HTTPException(422, str(error)) from None
    except FileNotFoundError:
        raise HTTPException(404, f"the file of {path!r} is not there any more"[:300]) from None


def _found(instances: FolderInstances, level: str, study: str, series: str, instance: str, query: Query) -> list[Row]:
    if instance or (level == "studies" and study) or (level == "series" and series):
        raise HTTPException(404, f"{level} are not searched below what they hold")
    if level == "studies":
        return search(_studies(instances), STUDY_KEYS, query)
    groups = instances.series(study, series)
    if level == "series":
        return search(_series(groups), (*SERIES_KEYS, *(() if study else STUDY_KEYS)), query)
    rows = (one.row for group in groups for one in group.instances())
    return search(rows, (*INSTANCE_KEYS, "Modality", *(() if study else STUDY_KEYS)), query)


def _studies(instances: FolderInstances) -> Iterator[Row]:
    studies: dict[str, list[Series]] = {}
    for series in instances.series():
        studies.setdefault(series.study_uid, []).append(series)
    for members in studies.values():
        heads = [head for one in members if (head := one.head()) is not None]
        if heads:
            modalities = sorted({value for head in heads for value in head.get("00080060", {}).get("Value", [])})
            yield {
                **heads[0],
                "00080061": {"vr": "CS", "Value": modalities},
                "00201206": {"vr": "IS", "Value": [len(members)]},
                "00201208": {"vr": "IS", "Value": [sum(one.count for one in members)]},
            }


def _series(groups: Iterable[Series]) -> Iterator[Row]:
    for group in groups:
        head = group.head()
        if head is not None:
            yield {**head, "00201209": {"vr": "IS", "Value": [group.count]}}


def _place(group: Series, instance: Instance) -> str:
    return f"studies/{group.study_uid}/series/{group.uid}/instances/{instance.uid}"


def _with_links(row: Row, place: str) -> Row:
    """A header whose large values point to where they are had."""
    return {
        tag: {**entry, "BulkDataURI": f"{place}/{entry['BulkDataURI']}"} if "BulkDataURI" in entry else entry
        for tag, entry in row.items()
    }


def _retrieved(chosen: list[Instance], found: re.Match[str], accept: str) -> Response:
    if found["form"] or found["shown"]:
        number = int(found["frames"].split(",")[0]) if found["frames"] else 1
        form = found["form"] or found["shown"][1:]
        return _rendered(chosen[len(chosen) // 2], number, THUMBNAIL if form == "thumbnail" else 0, accept)
    if (found["frames"] or found["bulk"]) and not found["instance"]:
        raise HTTPException(404, "frames and bulk data are had of one instance")
    if found["bulk"]:
        content = chosen[0].bulk(int(found["bulk"], 16))
        if content is None:
            raise HTTPException(404, f"there is no binary value {found['bulk']} in this instance")
        return _multipart(OCTETS, OCTETS, [content])
    if found["frames"]:
        contents = chosen[0].frames().contents
        numbers = [int(number) for number in found["frames"].split(",")]
        if len(set(numbers)) < len(numbers):
            raise HTTPException(400, "a frame is asked for once in a request")
        if not all(1 <= number <= len(contents) for number in numbers):
            raise HTTPException(404, f"frames {found['frames']} of {len(contents)} are not there"[:200])
        part = f"{OCTETS}; transfer-syntax={EXPLICIT_LITTLE}"
        return _multipart(OCTETS, part, [contents[number - 1] for number in numbers])
    if len(chosen) == 1 and accept.split(";")[0].strip() == DICOM:
        return Response(chosen[0].whole(), media_type=DICOM)
    return _multipart(DICOM, DICOM, [one.whole() for one in chosen])


def _json(rows: list[Row]) -> Response:
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode("utf-8"), media_type=DICOM_JSON)


def _multipart(kind: str, part: str, contents: Iterable[bytes]) -> Response:
    boundary = uuid.uuid4().hex
    pieces = [f"--{boundary}\r\nContent-Type: {part}\r\n\r\n".encode() + content + b"\r\n" for content in contents]
    body = b"".join([*pieces, f"--{boundary}--\r\n".encode()])
    return Response(body, media_type=f'multipart/related; type="{kind}"; boundary={boundary}')


def _rendered(instance: Instance, number: int, side: int, accept: str) -> Response:
    """A frame as a picture, dark where there is much uptake, as PET is read."""
    frames = instance.frames()
    if not 1 <= number <= len(frames.contents):
        raise HTTPException(404, f"frame {number} of {len(frames.contents)} is not there")
    pixels: Any = frames.pixels(number - 1).astype(np.float64)
    pixels -= pixels.min()
    grey = 255 - 255 * pixels / max(pixels.max(), 1)
    picture = Image.fromarray(grey.astype(np.uint8))
    if side:
        picture.thumbnail((side, side))
    content, form = io.BytesIO(), "PNG" if "png" in accept else "JPEG"
    picture.save(content, form)
    return Response(content.getvalue(), media_type=f"image/{form.lower()}")
