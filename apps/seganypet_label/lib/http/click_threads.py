"""The threads that answer clicks, by whichever door they come."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar

import anyio

CLICKS_AT_ONCE = 16  # threads of their own: waiting clicks must not take those that serve every other route
T = TypeVar("T")


async def in_click_thread(work: Callable[[], T]) -> T:
    """What some work gives, done off the event loop in one of these threads; it knows the request's reader."""
    return await anyio.to_thread.run_sync(work, limiter=_limiter())


@cache
def _limiter() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(CLICKS_AT_ONCE)
