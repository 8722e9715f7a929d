"""`/proxy/dicom/…`: how OHIF reaches the archive, or the studies folder where there is none.

MONAI Label's own drops the query: OHIF asks for one patient's studies and is answered with everybody's, which it then
shows as that patient's. It also blocks every other request while the archive thinks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import anyio
import requests
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response, StreamingResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from lib.http.folder_dicomweb import answer
from lib.http.nninteractive_requests import read_body
from lib.http.own_threads import OwnThreads
from lib.http.tokens import may_save
from lib.store.archive import TIMEOUT_S, trouble
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import StudyStore
from seganypet.pet import PetVolume

if TYPE_CHECKING:
    from lib.app import SegAnyPETApp

CHUNK = 2**18
ARCHIVE_THREADS = OwnThreads(16)  # that wait for its answers
MOST_STORED = 2**28  # bytes of what OHIF stores at a time: a SEG of a whole body has some ten million
PASSED_ON = ("accept", "content-type")  # of a request; not its cookies, tokens or origin
PASSED_BACK = ("content-type", "etag", "last-modified", "cache-control")

METADATA = re.compile(r"studies/([\d.]+)(/series/[\d.]+)?/metadata")

router = APIRouter(prefix="/proxy/dicom", include_in_schema=False)
READER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))


@router.get("/{path:path}")
@router.post("/{path:path}")
async def forward(request: Request, path: str, user: User = READER) -> Response:
    """Forward a DICOMweb request with its query; `Guard` has let only DICOMweb resources through.

    Raises:
        HTTPException: 404 for what a folder does not hold; 405 where it is asked to store. Of an archive 403 where
            somebody stores who may not save labels, 413 for more than `MOST_STORED` bytes, 502
            where it refuses this server's login.
    """
    app: SegAnyPETApp = app_instance()
    store = app.datastore()
    kind, _, rest = path.partition("/")
    if isinstance(store, StudyStore) and not isinstance(store, ArchiveStore):
        if request.method != "GET" or kind == "stow":
            raise HTTPException(405, "a folder's studies are read over DICOMweb; save labels over /datastore/label")
        wanted = rest if kind in ("qido", "wado") else path
        opened = METADATA.fullmatch(wanted)
        if opened:
            look = partial(app.folder_instances.series, opened[1])
            for series in await anyio.to_thread.run_sync(lambda: list(look())):
                if series.is_pet:
                    app.ahead.open(series.study_id, partial(_volume, app, series.study_id))
        query, accept = request.query_params.multi_items(), request.headers.get("accept", "")
        root = f"{str(request.base_url).rstrip('/')}{settings.MONAI_LABEL_API_STR}/proxy/dicom/wado"
        return await anyio.to_thread.run_sync(partial(answer, app.folder_instances, wanted, query, accept, root))
    if not isinstance(store, ArchiveStore):
        raise HTTPException(404, "the studies of this server are not reached over DICOMweb")
    if request.method == "POST" and not may_save(user):
        raise HTTPException(403, f"storing needs the role {settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR}")
    prefixes = {
        "qido": settings.MONAI_LABEL_QIDO_PREFIX,
        "wado": settings.MONAI_LABEL_WADO_PREFIX,
        "stow": settings.MONAI_LABEL_STOW_PREFIX,
    }
    if kind in prefixes:
        # OHIF asks for metadata under QIDO's root too
        prefix = prefixes["wado" if kind == "qido" and rest.endswith("metadata") else kind]
        path = f"{prefix}/{rest}" if prefix else rest
        opened = METADATA.fullmatch(rest)
        if opened:  # the first that OHIF asks of a study: fetch and encode it while its images travel
            for uid in store.series_of_study(opened[1]):
                app.ahead.open(uid, partial(_volume, app, uid))
    body = await read_body(request, MOST_STORED) if request.method == "POST" else None
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    ask = partial(
        store.archive.session().request,
        request.method,
        f"{store.archive.url}/{path}",
        params=request.query_params.multi_items(),
        headers=headers,
        data=body,
        stream=True,
        timeout=TIMEOUT_S,
    )
    said: requests.Response = await ARCHIVE_THREADS.run(ask)
    if said.status_code in (401, 403):  # of this server, not of who asks it
        said.close()
        raise HTTPException(502, trouble(requests.HTTPError(response=said)))
    kept = {name: said.headers[name] for name in PASSED_BACK if name in said.headers}
    return StreamingResponse(_content(said), status_code=said.status_code, headers=kept)


def _volume(app: SegAnyPETApp, uid: str) -> PetVolume:
    return app.access.study(uid).volume


def _content(answer: requests.Response) -> Iterator[bytes]:
    with answer:
        yield from answer.iter_content(CHUNK)
