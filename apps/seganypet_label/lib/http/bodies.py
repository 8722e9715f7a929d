"""Bodies that hold millions of numbers are refused while they arrive: unpacking them would stop every other reader."""

from __future__ import annotations

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_VALUES = 500_000  # in JSON or a form; a third of a second to unpack. A drawing of more voxels comes as bits
TAKEN_AS_IT_IS = ("multipart/", "application/octet-stream", "application/dicom", "image/")
TYPE = b"content-type"  # where there is none, FastAPI unpacks JSON
SEPARATORS = (b",", b"%2C", b"%2c", b"&")


class Bodies:
    """Counts what separates a body's values.

    Args:
        app: what comes after.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kinds = [value.decode("latin-1").strip().lower() for name, value in scope.get("headers", ()) if name == TYPE]
        if scope["type"] != "http" or (kinds and all(kind.startswith(TAKEN_AS_IT_IS) for kind in kinds)):
            await self._app(scope, receive, send)
            return
        values = 0

        async def counted() -> Message:
            nonlocal values
            message = await receive()
            values += sum(message.get("body", b"").count(separator) for separator in SEPARATORS)
            if values > MOST_VALUES:
                raise HTTPException(
                    413, f"more than {MOST_VALUES} values in a request: send a drawing's voxels as bits"
                )
            return message

        await self._app(scope, counted, send)
