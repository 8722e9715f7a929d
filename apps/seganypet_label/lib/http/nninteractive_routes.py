"""nnInteractive's remote protocol, as its client 2.6 speaks it: images, prompts and answers of a session.

napari, MITK and others click here without a plugin. Same process, network and caches as /infer. The protocol carries a
spacing, but neither where the image lies nor its units: it is taken as lying along the axes with that spacing, and its
values by the rule for NIfTI files. Refusals are 401 (who are you), 410 (the session is gone), 503 (no room), 400 and
413 (bad input).
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance
from numpy.typing import NDArray

from lib.clicks.click_request import read_object
from lib.clicks.drawing_sessions import DrawingSession, NoRoom, bytes_of
from lib.http.click_threads import in_click_thread
from lib.http.nninteractive_leases import acting
from lib.http.nninteractive_requests import (
    are_numbers,
    read_body,
    read_ranges,
    read_rounded_ranges,
    read_sign,
)
from lib.http.watch import note_click
from lib.store.bad_request import BadRequest
from lib.store.packed_arrays import pack_array, unpack_array
from lib.store.volumes import MAX_VOXELS
from seganypet.clicks import Box, Click, InitialMask, Lasso, Prompt, Scribble, VoxelSet
from seganypet.clicks.prompts import PromptOutsideError, checked_prompt
from seganypet.pet import PetVolume
from seganypet.pet.nifti import with_units

if TYPE_CHECKING:
    from lib.app import SegAnyPETApp

router = APIRouter(prefix="/nninteractive", include_in_schema=False)
USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
META = "X-Meta"
OCTETS = "application/octet-stream"
MOST_PROMPTS = 1000
MOST_DRAWN_BYTES = 2**28  # of a session, a bit a voxel: some hundred masks of a whole body


@router.post("/set_image")
async def set_image(request: Request, user: User = USER) -> Response:
    """An image [1, ., ., .] with its spacing; prompts begin afresh, and it is encoded in the background."""
    return await _with_body(request, user, _set_image)


@router.post("/set_target_buffer")
async def set_target_buffer(request: Request, user: User = USER) -> Response:
    """The client's mask is empty; it has the image's shape."""

    def work(session: DrawingSession, body: Mapping[str, Any]) -> JSONResponse:
        volume = _volume(session)
        if body.get("shape") != list(volume.shape):
            wanted, given = list(volume.shape), f"{body.get('shape')!r}"[:100]
            raise BadRequest(f"the target buffer must have the image's shape {wanted}, got {given}")
        session.show_nothing()
        return JSONResponse({"status": "ok"})

    return await _with_json(request, user, work)


@router.post("/set_do_autozoom")
async def set_do_autozoom(request: Request, user: User = USER) -> Response:
    """Taken and without effect: a target is always followed as far as it goes."""
    return await _with_json(request, user, lambda session, body: JSONResponse({"status": "ok"}))


@router.post("/reset_interactions")
async def reset_interactions(request: Request, user: User = USER) -> Response:
    """Forget the prompts; the client empties its mask."""

    def work(session: DrawingSession, body: Mapping[str, Any]) -> JSONResponse:
        session.forget()
        return JSONResponse({"status": "ok"})

    return await _with_json(request, user, work)


@router.post("/add_point_interaction")
async def add_point(request: Request, user: User = USER) -> Response:
    """A click: `coordinates`, voxel indices in the image's own order."""

    def work(session: DrawingSession, body: Mapping[str, Any]) -> Response:
        given = body.get("coordinates")
        if not are_numbers(given, 3):
            raise BadRequest(f"coordinates must be three voxel indices, got {given!r}"[:200])
        try:
            click = Click((given[0], given[1], given[2]), read_sign(body))
            prompt = checked_prompt(click, len(session.prompts), _volume(session).shape)
        except (ValueError, OverflowError) as error:
            raise BadRequest(str(error)) from None
        return _add(session, prompt, body)

    return await _with_json(request, user, work)


@router.post("/add_bbox_interaction")
async def add_bbox(request: Request, user: User = USER) -> Response:
    """A box: `bbox_coords`, three half-open ranges; what lies outside the image is cut off.

    napari sends a rectangle's corners as they were drawn, between voxels: they are rounded, to one voxel at least.
    """

    def work(session: DrawingSession, body: Mapping[str, Any]) -> Response:
        ranges = read_rounded_ranges(body.get("bbox_coords"))
        shape = _volume(session).shape
        kept = [(max(0, low), min(n, high)) for (low, high), n in zip(ranges, shape, strict=True)]
        if any(low >= high for low, high in kept):
            raise BadRequest(f"the box {ranges} holds no voxel of the image of {list(shape)}")
        return _add(session, Box((kept[0], kept[1], kept[2]), read_sign(body)), body)

    return await _with_json(request, user, work)


@router.post("/add_scribble_interaction")
async def add_scribble(request: Request, user: User = USER) -> Response:
    """A stroke: an array of the image's shape, or of `interaction_bbox` in the header's JSON; what is not 0 counts."""
    return await _with_body(request, user, partial(_draw, Scribble))


@router.post("/add_lasso_interaction")
async def add_lasso(request: Request, user: User = USER) -> Response:
    """A contour, or what it surrounds, as a stroke is sent."""
    return await _with_body(request, user, partial(_draw, Lasso))


@router.post("/add_initial_seg_interaction")
async def add_initial_seg(request: Request, user: User = USER) -> Response:
    """A mask to go on from, which the client shows already; it takes the place of all prompts before."""

    def work(session: DrawingSession, body: Mapping[str, Any], array: NDArray[Any]) -> Response:
        shape = _volume(session).shape
        if array.shape != shape:
            raise BadRequest(f"the mask must have the image's shape {list(shape)}, got {list(array.shape)}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise BadRequest("the mask must be finite, got NaN or infinity")
        initial = InitialMask(VoxelSet.of(array) if array.any() else None)
        _check_number(session, initial)
        session.start_from(initial)
        return _unchanged(ran=bool(body.get("run_prediction")))

    return await _with_body(request, user, work)


@router.post("/predict")
async def predict(request: Request, user: User = USER) -> Response:
    """Answer the prompts that were sent without asking for an answer."""

    def work(session: DrawingSession, body: Mapping[str, Any]) -> Response:
        _volume(session)
        return _answer(session, session.prompts) if session.waiting else _unchanged(ran=False)

    return await _with_json(request, user, work)


@router.post("/undo")
async def undo(request: Request, user: User = USER) -> Response:
    """Take the newest prompt back."""

    def work(session: DrawingSession, body: Mapping[str, Any]) -> Response:
        _volume(session)
        return _answer(session, session.prompts[:-1]) if session.prompts else _unchanged(ran=False)

    return await _with_json(request, user, work)


# --- what the routes share


async def _with_json(
    request: Request, user: User, work: Callable[[DrawingSession, Mapping[str, Any]], Response]
) -> Response:
    with acting(request, user) as session:
        content = await read_body(request, 2**20)

        def run() -> Response:
            with session.lock:
                return work(session, read_object(content or b"{}", "the body"))

        return await in_click_thread(run)


async def _with_body(
    request: Request, user: User, work: Callable[[DrawingSession, Mapping[str, Any], NDArray[Any]], Response]
) -> Response:
    # no image larger than all may be together, no drawing larger than its image
    most = min(MAX_VOXELS * 4, app_instance().drawing_sessions.most_bytes)
    meta = request.headers.get(META, "{}")
    with acting(request, user) as session:
        if work is not _set_image:
            most = min(most, _volume(session).voxels.size * 8)
        content = await read_body(request, most + 2**16)

        def run() -> Response:
            array = unpack_array(content, most_bytes=most)
            with session.lock:
                return work(session, read_object(meta.encode(), META), array)

        return await in_click_thread(run)


def _set_image(session: DrawingSession, body: Mapping[str, Any], array: NDArray[Any]) -> JSONResponse:
    if array.ndim != 4 or array.shape[0] != 1:
        raise BadRequest(f"an image must be [1, ., ., .], one channel of three axes, got {list(array.shape)}")
    properties = body.get("image_properties") or {}
    spacing = properties.get("spacing") if isinstance(properties, dict) else None
    if not are_numbers(spacing, 3) or not all(np.isfinite(mm) and mm > 0 for mm in spacing):
        raise BadRequest(f"image_properties must say the spacing, three numbers above 0 (mm), got {spacing!r}"[:200])
    app: SegAnyPETApp = app_instance()
    try:
        app.drawing_sessions.check_room(session, array[0].size * 4)
        voxels = np.asfortranarray(array[0], dtype=np.float32)
        volume = with_units(voxels, np.diag([*map(float, spacing), 1.0]), Path("the image"), None)
    except NoRoom as error:
        raise HTTPException(503, str(error)) from None
    except ValueError as error:
        raise BadRequest(f"the image cannot be read: {error}") from None
    session.begin(dataclasses.replace(volume, source=None))
    image = session.volume
    assert image is not None
    app.ahead.open(f"image {image.content_hash[:8]}", lambda: image)
    return JSONResponse({"original_image_shape": list(array.shape)})


def _draw(
    kind: type[Scribble] | type[Lasso], session: DrawingSession, body: Mapping[str, Any], array: NDArray[Any]
) -> Response:
    shape = _volume(session).shape
    start = (0, 0, 0)
    if body.get("interaction_bbox") is not None:
        ranges = read_ranges(body["interaction_bbox"], "interaction_bbox")
        if array.shape != tuple(high - low for low, high in ranges):
            raise BadRequest(f"the drawing must fill its interaction_bbox {ranges}, got {list(array.shape)}")
        start = (ranges[0][0], ranges[1][0], ranges[2][0])
    elif array.shape != shape:
        raise BadRequest(f"the drawing must have the image's shape {list(shape)}, got {list(array.shape)}")
    try:
        prompt = kind(VoxelSet.of(array, start), read_sign(body))
        checked_prompt(prompt, len(session.prompts), shape)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    return _add(session, prompt, body)


def _add(session: DrawingSession, prompt: Prompt, body: Mapping[str, Any]) -> Response:
    _check_number(session, prompt)
    prompts = (*session.prompts, prompt)
    if body.get("run_prediction", True):
        return _answer(session, prompts)
    session.keep(prompts)
    return _unchanged(ran=False)


def _check_number(session: DrawingSession, prompt: Prompt) -> None:
    if len(session.prompts) >= MOST_PROMPTS:
        raise BadRequest(f"{MOST_PROMPTS} prompts are held already; undo some or reset them before the next one")
    drawn = bytes_of(prompt) + sum(map(bytes_of, session.prompts))
    if drawn > MOST_DRAWN_BYTES:
        raise HTTPException(413, f"drawings of {drawn >> 20} MB are not held, at most {MOST_DRAWN_BYTES >> 20} MB are")


def _answer(session: DrawingSession, prompts: tuple[Prompt, ...]) -> Response:
    start = time.perf_counter()
    try:
        box, mask, details = session.answer(app_instance().weights.segmenter(), prompts)
    except PromptOutsideError as error:
        raise BadRequest(str(error)) from None
    if details is not None:
        stages = {f"{name}_s": getattr(details, f"{name}_s") for name in ("prepare", "encode", "decode")}
        note_click({**stages, "total_s": time.perf_counter() - start}, encoded=details.windows_encoded > 0)
    if box is None:
        return _unchanged(ran=True)
    voxels = mask[box].view(np.uint8)
    meta = {"ran_prediction": True, "bbox": [[side.start, side.stop] for side in box]}
    return Response(pack_array(voxels), media_type=OCTETS, headers={META: json.dumps(meta)})


def _unchanged(*, ran: bool) -> Response:
    return Response(b"", media_type=OCTETS, headers={META: json.dumps({"ran_prediction": ran, "bbox": None})})


def _volume(session: DrawingSession) -> PetVolume:
    if session.volume is None:
        raise BadRequest("there is no image yet: send one first")
    return session.volume
