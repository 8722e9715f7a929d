"""The reading page's routes: the page, the study's voxels and projections, its findings, thresholds and exports.

Clicks go to /infer, as every client's do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Body, Depends, HTTPException
from fastapi.responses import HTMLResponse, JSONResponse, Response
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.exception import LabelNotFoundException
from monailabel.interfaces.utils.app import app_instance
from numpy.typing import NDArray

from lib.clicks.click_request import prompts_said
from lib.clicks.findings_export import FORMATS, export_findings
from lib.clicks.study_access import OpenStudy
from lib.http.attachment import attachment
from lib.http.reading_page import ASSETS, MEDIA_TYPES, POLICY, reading_page
from lib.http.shown_volume import X_VOLUME, check_shown
from lib.http.tokens import may_save, note_reader
from lib.store.bad_request import BadRequest
from lib.store.datastore import FINAL, StudyStore
from lib.store.findings import bring_back, removed_targets, saved_targets
from lib.store.kept_text import check_line
from lib.store.label_quality import said_quality
from lib.store.label_segs import origin_of
from lib.store.mask_files import mask_bits
from lib.store.projections import project
from lib.store.reader import READER
from lib.store.reading_volume import ReadingVolume
from lib.store.study_description import describe_study
from seganypet.clicks import Click, InitialMask
from seganypet.clicks.prompts import checked_prompt
from seganypet.clicks.reading import read_prompts
from seganypet.clicks.voxel_set import smallest_box
from seganypet.evaluation.threshold_region import fixed_region, threshold_region
from seganypet.pet import PetVolume, SuvUnavailableError

if TYPE_CHECKING:
    from lib.app import SegAnyPETApp

router = APIRouter(include_in_schema=False)
USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
BODY = Body()
PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
SHARES = {"t41": 0.41, "t50": 0.5}
FIXED = {"suv2.5": 2.5, "suv4": 4.0}
NAME_LENGTH = 64
MOST_FINDINGS = 255  # as many as a label map holds
WEIGHTS_LENGTH = 128


@router.get("/read-static/{name}")
def asset(name: str) -> Response:
    """A script or the style of the page; holds nothing of a patient."""
    files = {file.name: file for file in ASSETS.iterdir() if file.suffix in MEDIA_TYPES}
    if name not in files:
        raise HTTPException(404, f"there is no file {name!r}")
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(files[name].read_bytes(), media_type=MEDIA_TYPES[files[name].suffix], headers=headers)


@router.get("/read/{study}")
def page(study: str, user: User = USER) -> HTMLResponse:
    """The page of a study."""
    app: SegAnyPETApp = app_instance()
    study_id = _store(app).study_id(study)
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "X-Frame-Options": "DENY"}
    return HTMLResponse(reading_page(study_id, app.options.labels), headers=headers)


@router.get("/read/{study}/about")
def about(study: str, user: User = USER) -> JSONResponse:
    """Patient, SUV, grid, and what is saved; from here on the study is encoded ahead."""
    note_reader(user)
    app: SegAnyPETApp = app_instance()
    opened = app.access.open(study, "", None)
    app.opened(opened)
    store = _store(app)
    said = {
        "study": opened.study_id,
        "volume": opened.volume.content_hash,
        "model": app.options.model,
        **describe_study(store.get_image_info(opened.study_id), opened.volume),
        "grid": ReadingVolume(opened.volume).description(),
        "reader": user.username if settings.MONAI_LABEL_AUTH_ENABLE else "",
        "may_save": may_save(user),
        "experts": app.options.final_quality == "high",
        **_saved(store, opened.study_id, opened.volume),
    }
    return JSONResponse(said, headers=PRIVATE)


@router.get("/read/{study}/voxels")
def voxels(study: str, x_volume: str = X_VOLUME, user: User = USER) -> Response:
    """The study once, uint16; `about` says what the numbers mean."""
    volume = _shown(study, x_volume).volume
    return Response(ReadingVolume(volume).stored(), media_type="application/octet-stream", headers=PRIVATE)


@router.get("/read/{study}/projections")
def projections(study: str, x_volume: str = X_VOLUME, user: User = USER) -> Response:
    """The study seen from all sides, see `Projections.to_bytes`."""
    volume = _shown(study, x_volume).volume
    content = project(ReadingVolume(volume)).to_bytes()
    return Response(content, media_type="application/octet-stream", headers=PRIVATE)


@router.get("/read/{study}/progress")
def progress(study: str, user: User = USER) -> dict[str, Any]:
    """How far the study is encoded ahead."""
    app: SegAnyPETApp = app_instance()
    study_id = _store(app).study_id(study)
    found: dict[str, Any] = app.ahead.progress().get(study_id, {"state": "", "encoded": 0, "windows": None})
    return found


@router.get("/read/{study}/saved")
def saved(study: str, user: User = USER) -> JSONResponse:
    """The findings as they are saved, and those that were."""
    app: SegAnyPETApp = app_instance()
    store = _store(app)
    study_id = store.study_id(study)
    return JSONResponse(_saved(store, study_id, app.access.study(study_id).volume), headers=PRIVATE)


@router.post("/read/{study}/threshold")
def threshold(study: str, body: dict[str, Any] = BODY, x_volume: str = X_VOLUME, user: User = USER) -> JSONResponse:
    """The region that a rule finds from a click, as a mask to go on from.

    Raises:
        BadRequest: a rule that is none, a click outside, or an SUV rule without SUV.
    """
    volume = _shown(study, x_volume).volume
    rule, click = body.get("rule"), _click(body.get("ijk"), volume)
    if isinstance(rule, str) and rule in SHARES:
        mask = threshold_region(volume, [click], SHARES[rule])
    elif isinstance(rule, str) and rule in FIXED:
        try:
            mask = fixed_region(volume, click, FIXED[rule])
        except SuvUnavailableError as error:
            raise BadRequest(f"SUV {FIXED[rule]:g} says nothing here: {error}") from None
    else:
        raise BadRequest(f"rule must be one of {', '.join((*SHARES, *FIXED))}, got {rule!r}"[:200])
    return JSONResponse(mask_bits(mask, smallest_box(mask)), headers=PRIVATE)


@router.post("/read/{study}/save")
def save(study: str, body: dict[str, Any] = BODY, x_volume: str = X_VOLUME, user: User = ANNOTATOR) -> JSONResponse:
    """Keep a finding: `name`, `mask`, `replaces` (the digest of what was there, "" for nothing), what it `renames` (a
    `name` with its `digest`: that finding gets this name and mask in the same write), `quality`, `reader`,
    where it came from: its `prompts` and the `weights` that answered them, and its `colour`, three numbers up to 255.
    The answer says what this save `changed`, as `changed_targets` does: what else differs from what a page saw is not
    its doing.

    Raises:
        BadRequest: no name, a mask that is none.
        HTTPException: 409 where the finding, or the study, is another by now.
    """
    note_reader(user)
    app: SegAnyPETApp = app_instance()
    store = _store(app)
    study_id = store.study_id(study)
    volume = app.access.study(study_id).volume
    check_shown(x_volume, volume)
    said = {**_said(body), "label": _name(body), "model": app.options.model}
    said["replaces"] = str(body.get("replaces") or "")
    if body.get("renames"):
        said["renames"] = body["renames"]
    if body.get("quality"):
        said["quality"] = body["quality"]
    said_quality(said)
    try:
        prompts = read_prompts(body.get("prompts") or [])
    except ValueError as error:
        raise BadRequest(f"prompts: {error}") from None
    edited = any(isinstance(prompt, InitialMask) for prompt in prompts)
    weights = _weights(body.get("weights"))
    said["came_from"] = {"clicks": list(prompts_said(prompts)), "weights": weights, "edited": edited}
    if body.get("colour") is not None:
        said["came_from"]["colour"] = _colour(body["colour"])
    mask = _mask(body.get("mask"), volume)
    if not mask.any():
        raise BadRequest(f"{said['label']!r} is empty: there is nothing to save")
    changed = store.save_target(study_id, FINAL, mask, said)
    return JSONResponse({**_saved(store, study_id, volume), "changed": changed}, headers=PRIVATE)


@router.post("/read/{study}/remove")
def remove(study: str, body: dict[str, Any] = BODY, user: User = ANNOTATOR) -> JSONResponse:
    """Take a saved finding away: `name` and `replaces`. It can be brought back; one that is gone already stays so.

    Raises:
        HTTPException: 409 where the finding is another by now.
    """
    note_reader(user)
    app: SegAnyPETApp = app_instance()
    store = _store(app)
    study_id = store.study_id(study)
    said = {**_said(body), "replaces": str(body.get("replaces") or "")}
    with suppress(LabelNotFoundException):  # removed as a whole: this finding with it
        store.remove_target(study_id, FINAL, _name(body), said)
    return JSONResponse(_saved(store, study_id, app.access.study(study_id).volume), headers=PRIVATE)


@router.post("/read/{study}/back")
def back(study: str, body: dict[str, Any] = BODY, user: User = ANNOTATOR) -> JSONResponse:
    """Bring a deleted finding back: `name` and `file`, as `removed` lists them; it says what that `changed`."""
    note_reader(user)
    app: SegAnyPETApp = app_instance()
    store = _store(app)
    study_id = store.study_id(study)
    changed = bring_back(store, study_id, _name(body), str(body.get("file") or ""), _said(body))
    saved = _saved(store, study_id, app.access.study(study_id).volume)
    return JSONResponse({**saved, "changed": changed}, headers=PRIVATE)


@router.post("/read/{study}/export/{kind}")
def export(study: str, kind: str, body: dict[str, Any] = BODY, x_volume: str = X_VOLUME, user: User = USER) -> Response:
    """The findings of the page as a file: `findings`, a list of names and masks; `reader`, if nobody is logged in.

    Raises:
        BadRequest: no findings, names twice, or a DICOM SEG of a study that is not DICOM.
        HTTPException: 404 for another kind of file.
    """
    if kind not in FORMATS:
        raise HTTPException(404, f"findings are exported as {', '.join(FORMATS)}, not as {kind!r}")
    opened = _shown(study, x_volume)
    listed = body.get("findings")
    if not isinstance(listed, list) or not listed or not all(isinstance(one, dict) for one in listed):
        raise BadRequest("findings must be a list of objects with a name and a mask")
    if len(listed) > MOST_FINDINGS:
        raise BadRequest(f"at most {MOST_FINDINGS} findings are exported, got {len(listed)}")
    masks = {_name(one): _mask(one.get("mask"), opened.volume) for one in listed}
    if len(masks) < len(listed):
        raise BadRequest("each finding needs a name of its own")
    kept = _store(app_instance()).get_label_info(opened.study_id, FINAL).get("targets") or []
    origins = {one["name"]: origin_of(one) for one in kept}
    note_reader(user)
    reader = READER.get() or _reader(body)
    content, media_type, filename = export_findings(kind, masks, opened.volume, opened.name, origins, reader)
    headers = {**PRIVATE, "Content-Disposition": attachment(filename)}
    return Response(content, media_type=media_type, headers=headers)


def _shown(study: str, x_volume: str) -> OpenStudy:
    """A study, where it still is what the page shows; errors as of `check_shown`."""
    opened: OpenStudy = app_instance().access.open(study, "", None)
    check_shown(x_volume, opened.volume)
    return opened


def _store(app: SegAnyPETApp) -> StudyStore:
    store = app.datastore()
    if not isinstance(store, StudyStore):
        raise HTTPException(404, "the reading page needs a studies folder or a DICOMweb archive")
    return store


def _saved(store: StudyStore, study_id: str, volume: PetVolume) -> dict[str, Any]:
    try:
        saved, problem = [one.to_dict() for one in saved_targets(store, study_id, volume)], ""
    except BadRequest as error:  # what is kept cannot be shown; the study can
        saved, problem = [], str(error.detail)
    return {"saved": saved, "removed": removed_targets(store, study_id), "problem": problem}


def _said(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"client_id": _reader(body), "saved_from": "reading page"}


def _reader(body: Mapping[str, Any]) -> str:
    reader = body.get("reader") or ""
    if not isinstance(reader, str):
        raise BadRequest(f"reader must be a name, got {reader!r}"[:200])
    check_line(reader, "the reader's name")
    return reader[:NAME_LENGTH]


def _weights(value: Any) -> dict[str, str] | None:
    """File and hash of the weights that answered, as a click's answer says them; nothing else is kept."""
    if not isinstance(value, dict):
        return None
    return {key: value[key][:WEIGHTS_LENGTH] for key in ("file", "hash") if isinstance(value.get(key), str)}


def _colour(value: Any) -> list[int]:
    whole = isinstance(value, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in value)
    if not whole or len(value) != 3 or not all(0 <= one <= 255 for one in value):
        raise BadRequest(f"colour must be three whole numbers from 0 to 255, got {value!r}"[:200])
    return list(value)


def _name(body: Mapping[str, Any]) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_LENGTH:
        raise BadRequest(f"a finding needs a name of at most {NAME_LENGTH} characters, got {json.dumps(name)[:80]}")
    check_line(name, "a finding's name")
    return name.strip()


def _click(ijk: Any, volume: PetVolume) -> Click:
    try:
        (prompt,) = read_prompts([{"type": "click", "ijk": ijk}])
        click = checked_prompt(prompt, 0, volume.shape)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    assert isinstance(click, Click)
    return click


def _mask(sent: Any, volume: PetVolume) -> NDArray[np.bool_]:
    if not isinstance(sent, dict):
        raise BadRequest("a finding's mask must be an object with start, shape and bits")
    try:
        (prompt,) = read_prompts([{**{key: sent.get(key) for key in ("start", "shape", "bits")}, "type": "mask"}])
        checked_prompt(prompt, 0, volume.shape)
    except ValueError as error:
        raise BadRequest(f"mask: {error}") from None
    assert isinstance(prompt, InitialMask)
    return prompt.on(volume.shape)
