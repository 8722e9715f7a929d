"""A click's answer in the form a client asked for: file, JSON, both, or a DICOM SEG."""

from __future__ import annotations

import gzip
import json
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from fastapi.responses import JSONResponse, Response
from numpy.typing import NDArray

from lib.clicks.click_request import ClickRequest
from lib.clicks.click_task import ClickAnswer
from lib.http.attachment import attachment
from lib.store.bad_request import BadRequest
from lib.store.label_segs import clicked_with
from lib.store.mask_files import mask_bits, mask_bytes
from seganypet.clicks.voxel_set import Box
from seganypet.pet import write_seg

OCTETS = "application/octet-stream"
SMALL = 100_000  # bytes that are not worth packing
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def respond(answer: ClickAnswer, request: ClickRequest, output: str | None, *, takes_gzip: bool = False) -> Response:
    """The HTTP answer.

    Args:
        output: "image" (the file), "json" (the numbers), "dicom_seg", or None and "all" (multipart: both).
        takes_gzip: whether the client unpacks a gzipped body by itself, as browsers do: what goes over the network is
            small then, even where the file has to be raw.

    Raises:
        BadRequest: a DICOM SEG of a study that is not DICOM, or of an empty mask.
    """
    if output == "json":
        sent = {"mask": mask_bits(answer.mask, answer.box)} if request.bits else {}
        return JSONResponse(answer.params | sent)
    if output == "dicom_seg":
        return _file(seg_bytes(answer, request), ".dcm", "application/dicom")
    mask, affine = answer.mask, answer.volume.affine
    if request.box_only:
        mask, affine = cropped(mask, affine, answer.box)
    content = mask_bytes(mask, affine, extension=request.extension, dtype=request.dtype, compress=request.compress)
    if output != "image":
        return _both(answer.params, content, request.extension)
    response_headers = {}
    if takes_gzip and len(content) > SMALL:
        content = gzip.compress(content, compresslevel=1, mtime=0)
        response_headers = {"content-encoding": "gzip", "vary": "Accept-Encoding"}
    return _file(content, request.extension, OCTETS, response_headers)


def cropped(
    mask: NDArray[np.bool_], affine: NDArray[np.float64], box: Box | None
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """A mask cut to a box, and the affine that leaves it where it lies; one voxel of nothing for an empty mask."""
    kept = box if box is not None else (slice(0, 1), slice(0, 1), slice(0, 1))
    moved = affine.copy()
    moved[:3, 3] = (affine @ [*(side.start for side in kept), 1])[:3]
    return np.asfortranarray(mask[kept]), moved


def seg_bytes(answer: ClickAnswer, request: ClickRequest) -> bytes:
    """The mask as a DICOM SEG that refers to the study's slices.

    Raises:
        BadRequest: a study that is not DICOM, or an empty mask.
    """
    source = answer.volume.source
    if source is None or not source.is_dicom:
        raise BadRequest("a DICOM SEG refers to DICOM slices; this study is NIfTI: ask for output=image instead")
    if not answer.mask.any():
        raise BadRequest("the mask is empty: a DICOM SEG needs a segment; click in the structure first")
    name = str((request.label_info[0] if request.label_info else {}).get("name") or answer.params["label"])
    with tempfile.TemporaryDirectory(prefix="seganypet-") as folder:
        file = Path(folder) / "mask.dcm"
        try:
            write_seg({name: answer.mask}, answer.volume, file, origins={name: clicked_with(answer.params["weights"])})
        except ValueError as error:
            raise BadRequest(str(error)) from None
        return file.read_bytes()


def _both(params: dict[str, Any], content: bytes, extension: str) -> Response:
    """Numbers and file in one multipart body, as MONAI Label's client takes it apart."""
    boundary = uuid.uuid4().hex
    disposition = f"--{boundary}\r\nContent-Disposition: form-data; name="
    parts = (
        f'{disposition}"params"\r\nContent-Type: application/json\r\n\r\n{json.dumps(params)}\r\n'.encode(),
        f'{disposition}"image"; filename="{_filename(extension)}"\r\nContent-Type: {OCTETS}\r\n\r\n'.encode(),
        content,
        f"\r\n--{boundary}--\r\n".encode(),
    )
    return Response(b"".join(parts), media_type=f"multipart/form-data; boundary={boundary}")


def _file(content: bytes, extension: str, media_type: str, headers: Mapping[str, str] = NO_HEADERS) -> Response:
    disposition = attachment(_filename(extension))
    return Response(content, media_type=media_type, headers={"content-disposition": disposition, **headers})


def _filename(extension: str) -> str:
    return f"{uuid.uuid4().hex}{extension}"  # clients write it into one folder of theirs
