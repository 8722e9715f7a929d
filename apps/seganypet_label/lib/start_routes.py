"""The start page's routes: what a person sees at the server's address, and Save as final."""

from __future__ import annotations

import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, HTTPException
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from lib.click_request import BadRequest
from lib.datastore import StudyStore
from lib.label_quality import said_quality
from lib.mask_files import mask_bytes
from lib.readers import note_reader
from lib.start_page import PageState, page, policy
from lib.start_state import page_state

if TYPE_CHECKING:
    from lib.app import SegAnyPETApp

router = APIRouter(include_in_schema=False)
USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))


@router.get("/")
def start(q: str = "", said: str = "", user: User = USER) -> HTMLResponse:
    """Studies with links into OHIF, the server's state, the last masks and their numbers."""
    state: PageState = page_state(app_instance(), q)
    nonce = secrets.token_urlsafe(16)
    return HTMLResponse(
        page(state, said=said[:400], nonce=nonce),
        headers={"Content-Security-Policy": policy(nonce), "Cache-Control": "no-store", "X-Frame-Options": "DENY"},
    )


@router.get("/api")
def api() -> HTMLResponse:
    """MONAI Label's own page at /: its routes, to try them."""
    return get_swagger_ui_html(openapi_url="/openapi.json", title="SegAnyPET for MONAI Label: API")


@router.post("/seganypet/final")
def save_as_final(
    study: str = Form(),
    label: str = Form(),
    name: str = Form(max_length=64),
    reader: str = Form("", max_length=64),
    quality: str = Form(""),
    q: str = Form(""),
    user: User = ANNOTATOR,
) -> RedirectResponse:
    """Keep the last mask of a study and label as a final label, beside the targets that are there already.

    Raises:
        BadRequest: no name, or a quality that is none.
        HTTPException: 404 for a mask that the server does not remember.
    """
    note_reader(user)
    name = name.strip()
    if not name:
        raise BadRequest("a final label needs a name")
    app: SegAnyPETApp = app_instance()
    info = {"label": name, "model": app.options.model, "client_id": reader.strip(), "saved_from": "start page"}
    info |= {"quality": quality} if quality else {}
    said_quality(info)
    store = app.datastore()
    if not isinstance(store, StudyStore):
        raise HTTPException(404, "this server's datastore keeps no last masks")
    study_id = store.study_id(study)
    shown = store.last_masks.rename(study_id, label, name)
    if shown is None:
        raise HTTPException(404, f"there is no mask {label!r} of study {study_id!r} to save: click again and save then")
    volume = app.access.study(study_id).volume
    with tempfile.TemporaryDirectory(prefix="seganypet-") as folder:
        file = Path(folder) / "mask.nii.gz"
        file.write_bytes(mask_bytes(shown.mask(), volume.affine, extension=".nii.gz"))
        store.save_label(study_id, str(file), "final", info)
    said = f"{name} of {study_id} is saved as final, {time.strftime('%H:%M:%S')}"
    return RedirectResponse("/?" + urlencode({"q": q, "said": said}), status_code=303)
