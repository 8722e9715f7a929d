"""MONAI Label's web application as this app serves it.

MONAI Label 0.8.5 declares every route `async` around code that blocks, so that one click would stop every other
request; lets each origin in; and answers mistakes with a bare 500. Its application object is put right in place, while
it starts and before it serves, so that the plain start command stays the only one.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import inspect
import json
import logging
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import requests
from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute, request_response
from monailabel.config import settings
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException, MONAILabelException
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from lib.clicks.click_request import read_object
from lib.http import (
    archive_proxy,
    health,
    nninteractive_leases,
    nninteractive_routes,
    ohif_page,
    reading_routes,
    start_routes,
)
from lib.http.bodies import Bodies
from lib.http.door import Door
from lib.http.guard import LOOPBACK, Guard, refused
from lib.http.infer_route import infer
from lib.http.tokens import accept_valid_tokens, note_reader
from lib.http.watch import Watch, quiet_access_log
from lib.learning.task_processes import look_after_tasks
from lib.store.archive import trouble
from seganypet.pet import PetReadError

logger = logging.getLogger(__name__)

JSON_FIELDS = ("params", "info")  # of MONAI Label's forms, which it takes for objects without looking
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


def harden(app: FastAPI, origins: tuple[str, ...] = ()) -> None:
    """Put the application right; doing it again changes nothing.

    Args:
        app: `monailabel.app.app`, before it serves its first request.
        origins: of pages that may call it besides its own and those of this machine, as `AppSettings.origins`.
    """
    accept_valid_tokens()
    look_after_tasks()
    prefix = settings.MONAI_LABEL_API_STR
    routes = app.router.routes
    _put_first(app, prefix)
    for index, route in enumerate(routes):
        if not isinstance(route, APIRoute):
            continue
        if route.path == f"{prefix}/infer/{{model}}":
            routes[index] = APIRoute(
                route.path, infer, methods=["POST"], tags=route.tags, summary=route.summary, responses=route.responses
            )
        elif inspect.iscoroutinefunction(route.endpoint) and not _is_ours(route):
            _run_in_thread(route)
    quiet_access_log()
    app.user_middleware = [
        Middleware(Watch),
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_origin_regex=LOOPBACK.pattern,
            allow_credentials=True,
            allow_methods=["*"],
            allow_headers=["*"],
        ),
        Middleware(Guard, origins=origins, prefix=prefix, on_loopback=bound_host() in LOOPBACK_HOSTS),
        Middleware(Door, prefix=prefix),
        Middleware(Bodies),
    ]
    for error, status in _STATUS.items():
        app.add_exception_handler(error, functools.partial(_explain, status))
    app.add_exception_handler(OSError, _explain_disk)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _name_what_is_wrong)
    app.add_exception_handler(Exception, _apologise)
    app.middleware_stack = None  # built again, with the above, at the next request
    _warn_of_open_doors()


def _put_first(app: FastAPI, prefix: str) -> None:
    """Let the app's own pages answer before MONAI Label's, whose routes stay for what they do not answer."""
    routes = app.router.routes
    if any(getattr(route, "endpoint", None) is archive_proxy.forward for route in routes):
        return
    before = len(routes)
    app.include_router(start_routes.router)
    app.include_router(reading_routes.router)
    for ours in (health, nninteractive_leases, nninteractive_routes, ohif_page, archive_proxy):
        app.include_router(ours.router, prefix=prefix)
    routes[:] = routes[before:] + routes[:before]


def _is_ours(route: APIRoute) -> bool:
    """Whether a route is this app's own: those that are `async` await what they wait for."""
    return str(getattr(route.endpoint, "__module__", "")).startswith("lib.")


def _run_in_thread(route: APIRoute) -> None:
    """Let a route that never awaits run off the event loop."""
    endpoint = route.endpoint

    @functools.wraps(endpoint)
    def run(*args: Any, **kwargs: Any) -> Any:
        note_reader(kwargs.get("user"))
        for name in JSON_FIELDS:
            if isinstance(text := kwargs.get(name), str):
                read_object(text or "{}", name)
        try:
            return asyncio.run(endpoint(*args, **kwargs))
        except BaseException:
            clean_up = kwargs.get("background_tasks")
            if clean_up is not None:  # uploaded files; FastAPI runs this after an answer, but not after an error
                asyncio.run(clean_up())
            raise

    route.endpoint = run
    route.dependant.call = run
    route.app = request_response(route.get_route_handler())


_STATUS: dict[type[Exception], int] = {
    ImageNotFoundException: 404,
    LabelNotFoundException: 404,
    FileNotFoundError: 404,
    PetReadError: 400,
    requests.RequestException: 502,
    FileExistsError: 409,
    IsADirectoryError: 400,
    MONAILabelException: 400,
    json.JSONDecodeError: 400,
}


async def _explain(status: int, request: Request, error: Exception) -> JSONResponse:
    detail = getattr(error, "msg", "") or str(error) or type(error).__name__
    if isinstance(error, requests.RequestException):
        detail = trouble(error)
    if isinstance(error, FileNotFoundError) and error.filename:
        detail = f"{Path(error.filename).name} is not there any more"
    if isinstance(error, json.JSONDecodeError):
        detail = f"not valid JSON: {error}"
    return refused(request.scope, status, detail)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code < 400 or error.status_code in (204, 304):
        return await http_exception_handler(request, error)
    return refused(request.scope, error.status_code, error.detail, error.headers)


_DISK: dict[int, tuple[int, str]] = {
    errno.ENOSPC: (507, "the disk is full: this was not saved, and what was there before is kept"),
    errno.EDQUOT: (507, "the disk's quota is used up: this was not saved, and what was there before is kept"),
    errno.EROFS: (503, "the studies folder is read-only: this was not saved"),
    errno.EACCES: (503, "the server may not write there: this was not saved"),
    errno.EPERM: (503, "the server may not write there: this was not saved"),
}


async def _explain_disk(request: Request, error: Exception) -> JSONResponse:
    """What a disk refuses, in words; an error of the system that has none here is the server's own."""
    assert isinstance(error, OSError)
    known = _DISK.get(error.errno or 0)
    if known is None:
        logger.error("%s: %s", request.url.path, error, exc_info=error)
        return await _apologise(request, error)
    logger.error("%s: %s", request.url.path, error)
    return refused(request.scope, *known)


async def _name_what_is_wrong(request: Request, error: Exception) -> JSONResponse:
    """What FastAPI says of a request that does not fit, without the input: it may be no text at all."""
    assert isinstance(error, RequestValidationError)
    wrong = [{"loc": one["loc"], "msg": one["msg"], "type": one["type"]} for one in error.errors()]
    return refused(request.scope, 422, json.loads(json.dumps(wrong, default=repr)))


async def _apologise(request: Request, error: Exception) -> JSONResponse:
    detail = f"{type(error).__name__} in the server while answering {request.url.path}; its log says where"
    return refused(request.scope, 500, detail)


def bound_host() -> str:
    """The address the server listens on, from the command line; MONAI Label keeps it nowhere else."""
    arguments = [part for argument in sys.argv[1:] for part in argument.split("=", 1)]
    return next((value for key, value in pairwise(arguments) if key in ("--host", "-i")), "0.0.0.0")


def _warn_of_open_doors() -> None:
    host = bound_host()
    if host not in LOOPBACK_HOSTS and not settings.MONAI_LABEL_AUTH_ENABLE:
        logger.warning(
            "THIS SERVER LISTENS ON %s AND ASKS NOBODY WHO THEY ARE: everybody who reaches it reads the studies and "
            "saves labels. Start it with --host 127.0.0.1, or switch on MONAI_LABEL_AUTH_ENABLE.",
            host,
        )
