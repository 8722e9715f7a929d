"""What no route should see: paths that leave their place, routes that are closed, requests of foreign pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lib.store.names import is_session_id

LOOPBACK = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
DICOMWEB = re.compile(r"/proxy/dicom/((wado|qido|stow)/)?(studies|series|instances)(/[\w.\-,]+)*/?")
WEIGHTS_BY_FILE = (
    "weights are not replaced over HTTP: put the new file in place of the one the server was started with "
    "(--conf weights PATH); it is taken up by itself"
)
Refusal = tuple[int, str]


def refused(scope: Scope, status: int, detail: object, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer that says why not, with the request's number to look for in the log."""
    number = scope.get("state", {}).get("request_id", "")
    return JSONResponse({"detail": detail, "request_id": number}, status_code=status, headers=headers)


class Guard:
    """Refuses requests before any route sees them, with a JSON answer that says why.

    Args:
        app: what comes after.
        origins: pages allowed to call this server besides its own and those on this machine.
        prefix: of every route.
        on_loopback: the server listens on this machine only, so that no other name can be meant: a page elsewhere that
            lets its own name point here (DNS rebinding) is refused.
    """

    def __init__(
        self, app: ASGIApp, *, origins: tuple[str, ...] = (), prefix: str = "", on_loopback: bool = False
    ) -> None:
        self._app, self._origins, self._prefix, self._on_loopback = app, origins, prefix, on_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refused(scope, *refusal)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> Refusal | None:
        path = scope["path"].removeprefix(self._prefix)
        raw = scope.get("raw_path", b"").lower()
        if ".." in re.split(r"[/\\]", path) or b"%2f" in raw or b"%5c" in raw or "\0" in path:
            return 400, f"the path {scope['path']!r} leaves its place"
        host = headers.get("host", "")
        known = {urlsplit(origin).netloc for origin in self._origins}
        if self._on_loopback and host not in known and not LOOPBACK.fullmatch(f"http://{host}"):
            return 421, f"this server listens on its own machine only and is not called {host!r}"
        origin = headers.get("origin", "")
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and origin and not self._allowed(origin, headers):
            return 403, f"pages of {origin} may not change anything here; allow them with --conf origins"
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        return _closed(scope["method"], path, query)

    def _allowed(self, origin: str, headers: dict[str, str]) -> bool:
        same = urlsplit(origin).netloc == headers.get("host")
        return same or origin in self._origins or bool(LOOPBACK.fullmatch(origin))


def _closed(method: str, path: str, query: dict[str, list[str]]) -> Refusal | None:
    if path.startswith("/model/") and method in ("PUT", "DELETE"):
        return 403, WEIGHTS_BY_FILE
    if path.rstrip("/") == "/reload":
        return 403, f"the app is not reloaded over HTTP; {WEIGHTS_BY_FILE}"
    if path.startswith("/infer/wsi"):
        return 404, "whole-slide images are not served here"
    if path.startswith("/batch/infer") and method == "POST":
        return 400, "this model segments what is clicked: there is nothing to run over a batch of studies"
    if path.startswith("/session/") and path != "/session/" and not is_session_id(path.split("/")[2]):
        return 404, f"there is no session {path.split('/')[2]!r}"
    unpack = query.get("uncompress", ["false"])[-1].lower()
    if path.startswith("/session") and unpack in ("1", "true", "yes", "on", "t", "y"):
        return 400, "archives are not unpacked here: send the series' files themselves, as several `files`"
    if path.startswith("/datastore"):
        for name in ("image", "id", "label", "tag"):
            if any(re.search(r"[/\\\0]|\.\.", value) for value in query.get(name, [])):
                return 400, f"{name} must be a plain name without a path, got {query[name][-1]!r}"
    if path.startswith("/proxy/") and not DICOMWEB.fullmatch(path):
        return 404, "only DICOMweb resources (studies, series, instances) are forwarded"
    return None
