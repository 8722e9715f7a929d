"""What people who run the server watch: a number for each request, one log line, counts and seconds."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("seganypet.request")

REQUEST_ID = "X-Request-ID"
_GIVEN = re.compile(r"[\w.\-]{1,64}")  # by a proxy before the server
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REGISTRY = CollectorRegistry()
_REQUESTS = Histogram(
    "seganypet_request_seconds",
    "Seconds from a request to the end of its answer",
    ("method", "route", "status"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
_STAGES = Histogram(
    "seganypet_click_stage_seconds",
    "Seconds that a click spent in a stage; total is from request to mask",
    ("stage",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
_CLICKS = Counter("seganypet_clicks", "Click requests that got a mask", ("embeddings",), registry=REGISTRY)


class Watch:
    """Numbers every request, logs it in one line and counts it. No line holds a study, a label or a person.

    Args:
        app: what answers; everything it refuses is counted too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number = _number(scope["headers"])
        scope.setdefault("state", {})["request_id"] = number
        start, status, sent = time.perf_counter(), 500, 0

        async def pass_on(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = number
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, pass_on)
        finally:
            seconds = time.perf_counter() - start
            # the route as it was declared: a path holds names of studies
            route = getattr(scope.get("route"), "path", "none")
            # any word is a method to HTTP, and each that is counted stays in memory
            method = scope["method"] if scope["method"] in _METHODS else "other"
            _REQUESTS.labels(method, route, status).observe(seconds)
            line = {"id": number, "method": method, "route": route, "status": status}
            logger.info(json.dumps({**line, "ms": round(1e3 * seconds, 1), "bytes": sent}))


def note_click(timings: Mapping[str, float], *, encoded: bool) -> None:
    """Count an answered click.

    Args:
        timings: seconds by stage, each name with "_s" at its end.
        encoded: whether a window had to be encoded for it.
    """
    _CLICKS.labels("made" if encoded else "at hand").inc()
    for stage, seconds in timings.items():
        _STAGES.labels(stage.removesuffix("_s")).observe(seconds)


def quiet_access_log() -> None:
    """Switch off uvicorn's own line for each request: it holds the query, and with it the study's name."""
    access = logging.getLogger("uvicorn.access")
    if _nothing not in access.filters:
        access.addFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _number(headers: Iterable[tuple[bytes, bytes]]) -> str:
    given = next((value.decode("latin-1") for name, value in headers if name == REQUEST_ID.lower().encode()), "")
    return given if _GIVEN.fullmatch(given) else uuid.uuid4().hex
