"""Whose request is being answered: labels and masks are kept with their reader's name."""

from __future__ import annotations

from contextvars import ContextVar

READER: ContextVar[str] = ContextVar("reader", default="")  # "" where nobody was asked who they are
