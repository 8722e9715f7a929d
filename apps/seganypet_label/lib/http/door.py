"""Who is unknown is turned away before the body is read: FastAPI reads it whole before it asks who sends it."""

from __future__ import annotations

import logging

import jwt
import requests
from fastapi.concurrency import run_in_threadpool
from monailabel.config import settings
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lib.http.guard import refused
from lib.http.tokens import user_of

WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")  # their routes ask for the token, and some for none
logger = logging.getLogger(__name__)


class Door:
    """Asks for a valid token before anything is taken in, where authentication is on.

    Args:
        app: what comes after.
        prefix: of every route.
    """

    def __init__(self, app: ASGIApp, *, prefix: str = "") -> None:
        self._app, self._login = app, f"{prefix}/auth/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not settings.MONAI_LABEL_AUTH_ENABLE or scope["type"] != "http" or scope["path"].startswith(self._login):
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope)
        await (refusal or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Why a request is turned away; None where it is not, or where its route will say so.

        A token is looked at in a thread, whatever the method: the provider may be asked for its keys, and hang.
        """
        scheme, _, token = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").partition(" ")
        told_by_its_route = scope["method"] in WITHOUT_BODY
        try:
            if scheme.lower() == "bearer":
                await run_in_threadpool(user_of, token.strip())
            elif not told_by_its_route:
                raise jwt.InvalidTokenError("no token came with the request")
        except jwt.InvalidTokenError as error:
            if not told_by_its_route:
                return refused(scope, 401, f"sign in first: {error}", {"WWW-Authenticate": "Bearer"})
        except requests.RequestException as error:
            logger.warning("the identity provider cannot be asked: %s", error)
            return refused(scope, 502, "the identity provider does not answer")
        return None
