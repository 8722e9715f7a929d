"""What is refused with an answer 400."""

from __future__ import annotations

from fastapi import HTTPException


class BadRequest(HTTPException):
    """An answer 400 whose message names what was wrong."""

    def __init__(self, detail: str) -> None:
        super().__init__(status_code=400, detail=detail)
