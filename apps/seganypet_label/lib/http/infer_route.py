"""`POST /infer/{model}`: what Slicer, OHIF and MONAI Label's client send, answered off the event loop."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import Depends, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import Response
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from lib.clicks.click_request import ClickRequest, click_request, parse_params, prompts_said
from lib.clicks.click_task import ClickAnswer
from lib.clicks.initial_mask import initial_mask
from lib.http.answers import respond
from lib.http.click_threads import in_click_thread
from lib.http.shown_volume import X_VOLUME, check_shown
from lib.http.tokens import may_save, note_reader
from lib.http.watch import note_click
from lib.store.bad_request import BadRequest
from lib.store.datastore import StudyStore
from lib.store.label_quality import LOW
from lib.store.reader import READER

if TYPE_CHECKING:
    from lib.app import SegAnyPETApp


class ResultType(StrEnum):
    """What comes back."""

    image = "image"
    json = "json"
    all = "all"
    dicom_seg = "dicom_seg"


async def infer(
    http: Request,
    model: str,
    image: str = "",
    session_id: str = "",
    params: str = Form("{}"),
    file: UploadFile = File(None),  # noqa: B008  FastAPI declares forms this way
    label: UploadFile = File(None),  # noqa: B008
    output: ResultType | None = None,
    x_volume: str = X_VOLUME,
    user: User = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER)),  # noqa: B008
) -> Response:
    """Segment what was clicked in a study (`image`), a session's image or a file sent along."""
    note_reader(user)
    work = partial(
        answer,
        app_instance(),
        model,
        image,
        session_id,
        params,
        file,
        output.value if output is not None else None,
        label,
        saves=may_save(user),
        x_volume=x_volume,
        takes_gzip="gzip" in http.headers.get("accept-encoding", ""),
    )
    return await in_click_thread(work)


def answer(
    app: SegAnyPETApp,
    model: str,
    image: str,
    session_id: str,
    params: str,
    file: UploadFile | None,
    output: str | None,
    label: UploadFile | None = None,
    *,
    saves: bool = True,
    x_volume: str = "",
    takes_gzip: bool = False,
) -> Response:
    """Answer one request.

    Args:
        params: JSON text; its `model` and `image` do not override the route's.
        label: a label map on the study's grid: the mask that the prompts refine.
        saves: whether who asks may save.
        x_volume: content hash of the volume that the client shows, see `check_shown`; "" where it says none.
        takes_gzip: whether the client unpacks a gzipped body by itself.

    Raises:
        HTTPException: 404 for a model, study or session that is not there, 403 for a save by who may not, 409
            for a study that has changed since the client opened it, 400 for anything else that is wrong.
    """
    task = app.click_tasks.get(model)
    if task is None:
        raise HTTPException(404, f"there is no model {model!r}; there is {', '.join(app.click_tasks)}")
    start = time.perf_counter()
    request = click_request(parse_params(params))
    if request.save_label and not saves:
        raise HTTPException(403, f"saving needs the role {settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR}")
    study = app.access.open(image, session_id, file)
    check_shown(x_volume, study.volume)
    if request.save_label and not study.study_id:
        raise BadRequest("save_label keeps a label of a study; this image is none: upload it to /datastore/image first")
    read_s = time.perf_counter() - start
    if label is not None:
        request = dataclasses.replace(request, prompts=(initial_mask(label, study.volume), *request.prompts))
    result = task.answer(study.volume, request)
    total_s = round(time.perf_counter() - start, 4)
    result.params["timings"] |= {"read_s": round(read_s, 4), "total_s": total_s}
    note_click(result.params["timings"], encoded=not result.params["cached"])
    result.params["study_cached"] = study.at_hand
    app.opened(study)
    clicks = prompts_said(request.prompts)
    if study.study_id and isinstance(store := app.datastore(), StudyStore):
        if request.last_mask:
            store.last_masks.note(
                study.study_id,
                result.params["label"],
                result.mask,
                result.params,
                clicks,
                reader=READER.get(),
                client=request.client_id,
                box=result.box,
            )
        if request.save_label:
            save(store, study.study_id, model, request, result, clicks)
    return respond(result, request, output, takes_gzip=takes_gzip)


def save(
    store: StudyStore,
    study_id: str,
    model: str,
    request: ClickRequest,
    result: ClickAnswer,
    clicks: Sequence[Mapping[str, Any]],
) -> None:
    """Keep an answer's mask in the datastore, with the clicks it came from."""
    info: dict[str, Any] = {
        "model": model,
        "params": result.params,
        "clicks": list(clicks),
        "client_id": request.client_id,
        "label": result.params["label"],
        "quality": LOW,  # nobody has seen it yet, whatever the tag
    }
    store.save_target(study_id, request.label_tag, result.mask, info)
