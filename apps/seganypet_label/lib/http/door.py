"""Who is unknown is turned away before the body is read: FastAPI reads it whole before it asks who sends it."""

from __future__ import annotations

import jwt
import requests
from fastapi.concurrency import run_in_threadpool
from monailabel.config import settings
from starlette.types import ASGIApp, Receive, Scope, Send

from lib.http.guard import refused
from lib.http.tokens import user_of

WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")  # their routes ask for the token


class Door:
    """Asks for a valid token before anything is taken in, where authentication is on.

    Args:
        app: what comes after.
        prefix: of every route.
    """

    def __init__(self, app: ASGIApp, *, prefix: str = "") -> None:
        self._app, self._login = app, f"{prefix}/auth/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = settings.MONAI_LABEL_AUTH_ENABLE and scope["type"] == "http" and scope["method"] not in WITHOUT_BODY
        if not asked or scope["path"].startswith(self._login):
            await self._app(scope, receive, send)
            return
        scheme, _, token = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise jwt.InvalidTokenError("no token came with the request")
            await run_in_threadpool(user_of, token.strip())
        except jwt.InvalidTokenError as error:
            said = refused(scope, 401, f"sign in first: {error}", {"WWW-Authenticate": "Bearer"})
            await said(scope, receive, send)
        except requests.RequestException:
            await refused(scope, 502, "the identity provider does not answer")(scope, receive, send)
        else:
            await self._app(scope, receive, send)
