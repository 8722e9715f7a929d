"""The start page's routes: what a person sees at the server's address, and Save as final."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from lib.clicks.click_request import read_object
from lib.http.start_page import PageState, page, policy, routes_page
from lib.http.start_state import page_state
from lib.http.tokens import note_reader
from lib.learning.trained_weights import go_back
from lib.store.bad_request import BadRequest
from lib.store.datastore import FINAL, StudyStore
from lib.store.kept_text import check_line
from lib.store.label_quality import said_quality
from lib.store.mask_files import mask_digest
from lib.store.saved_targets import check_listed

if TYPE_CHECKING:
    from lib.app import SegAnyPETApp

router = APIRouter(include_in_schema=False)
USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
ADMIN = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))
ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))


@router.api_route("/", methods=["GET", "HEAD"])
def start(q: str = "", said: str = "", user: User = USER) -> HTMLResponse:
    """Studies with links into OHIF, the server's state, the last masks and their numbers."""
    state: PageState = page_state(app_instance(), q)
    nonce = secrets.token_urlsafe(16)
    return HTMLResponse(
        page(state, said=said[:400], nonce=nonce),
        headers={"Content-Security-Policy": policy(nonce), "Cache-Control": "no-store", "X-Frame-Options": "DENY"},
    )


@router.get("/api")
@router.get("/docs")
def api(request: Request) -> HTMLResponse:
    """The routes; MONAI Label's own pages for them run scripts of other machines, which could read studies here."""
    paths = request.app.openapi()["paths"].items()
    listed = [(method, path, about) for path, methods in paths for method, about in methods.items()]
    return HTMLResponse(routes_page(listed), headers={"Content-Security-Policy": "default-src 'none'"})


@router.post("/seganypet/weights/back")
def weights_back(user: User = ADMIN) -> dict[str, str]:
    """Put the weights before the last published ones in force again; nothing is deleted.

    Raises:
        HTTPException: 404 where training published none.
    """
    store = app_instance().datastore()
    if not isinstance(store, StudyStore):
        raise HTTPException(404, "this server's datastore holds no trained weights")
    try:
        file = go_back(store.root)
    except FileNotFoundError as error:
        raise HTTPException(404, str(error)) from None
    return {"in_force": "those published before" if file else "those that the server was started with"}


@router.post("/seganypet/final")
def save_as_final(
    study: str = Form(),
    label: str = Form(),
    seen: str = Form(),
    name: str = Form(max_length=64),
    reader: str = Form("", max_length=64),
    quality: str = Form(""),
    saved: str = Form("{}"),
    q: str = Form(""),
    user: User = ANNOTATOR,
) -> RedirectResponse:
    """Keep the mask that was seen on the page as a final label, beside the targets that are there already.

    `seen` is the page's word for which mask that was: where its reader, or another, has clicked on since, nothing is
    saved that nobody looked at. `saved` is what it listed as final, {name: seconds since 1970}: nothing else
    is replaced.

    Raises:
        BadRequest: no name, or a quality that is none.
        HTTPException: 404 for a mask that the server does not remember, 409 for one that is another by now, or where a
            target of that name was saved since.
    """
    note_reader(user)
    name = name.strip()
    if not name:
        raise BadRequest("a final label needs a name")
    check_line(name, "a final label's name")
    check_line(reader, "the reader's name")
    app: SegAnyPETApp = app_instance()
    info = {"label": name, "model": app.options.model, "client_id": reader.strip(), "saved_from": "start page"}
    info |= {"quality": quality} if quality else {}
    said_quality(info)
    listed = read_object(saved, "saved")
    store = app.datastore()
    if not isinstance(store, StudyStore):
        raise HTTPException(404, "this server's datastore keeps no last masks")
    study_id = store.study_id(study)
    shown = store.last_masks.seen(study_id, seen)
    if shown is None:
        if any(other.label == label for other in store.last_masks.of_study(study_id)):
            raise HTTPException(
                409,
                f"the mask {label!r} of study {study_id!r} has changed since the page showed it: look and save again",
            )
        raise HTTPException(404, f"there is no mask {label!r} of study {study_id!r} to save: click again and save then")
    if shown.shape != store.volume(study_id).shape:
        raise HTTPException(409, f"the files of study {study_id!r} have changed since {label!r} was shown: click again")
    check_listed(name, listed, store.get_label_info(study_id, FINAL))
    shown = store.last_masks.rename(shown, name)
    mask = shown.mask()
    changed = store.save_target(study_id, FINAL, mask, info)
    said = f"{name} of {study_id} is saved as final, {time.strftime('%H:%M:%S')}"
    if mask_digest(mask) not in [one["after"] for one in changed if one["name"] == name]:
        said += "; where it overlaps another target, the lesion or the smaller one stays"
    return RedirectResponse("/?" + urlencode({"q": q, "said": said}), status_code=303)
