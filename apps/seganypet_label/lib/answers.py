"""A click's answer in the form a client asked for: file, JSON, both, or a DICOM SEG."""

from __future__ import annotations

import json
import tempfile
import uuid
from pathlib import Path

from fastapi.responses import JSONResponse, Response
from requests_toolbelt import MultipartEncoder

from lib.click_request import BadRequest, ClickRequest
from lib.click_task import ClickAnswer
from lib.mask_files import mask_bytes
from seganypet.pet import write_seg


def respond(answer: ClickAnswer, request: ClickRequest, output: str | None) -> Response:
    """The HTTP answer.

    Args:
        output: "image" (the file), "json" (the numbers), "dicom_seg", or None and "all" (multipart: both).

    Raises:
        BadRequest: a DICOM SEG of a study that is not DICOM, or of an empty mask.
    """
    if output == "json":
        return JSONResponse(answer.params)
    if output == "dicom_seg":
        return _file(seg_bytes(answer, request), ".dcm", "application/dicom")
    content = mask_bytes(
        answer.mask, answer.volume.affine, extension=request.extension, dtype=request.dtype, compress=request.compress
    )
    if output == "image":
        return _file(content, request.extension, "application/octet-stream")
    fields = {
        "params": (None, json.dumps(answer.params), "application/json"),
        "image": (_filename(request.extension), content, "application/octet-stream"),
    }
    encoder = MultipartEncoder(fields=fields)
    return Response(encoder.to_string(), media_type=encoder.content_type)


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
            write_seg({name: answer.mask}, answer.volume, file)
        except ValueError as error:
            raise BadRequest(str(error)) from None
        return file.read_bytes()


def _file(content: bytes, extension: str, media_type: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{_filename(extension)}"'}
    return Response(content, media_type=media_type, headers=headers)


def _filename(extension: str) -> str:
    return f"{uuid.uuid4().hex}{extension}"  # clients write it into one folder of theirs
