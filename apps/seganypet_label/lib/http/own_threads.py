"""Threads that one kind of work has for itself: what waits there must not take those that serve every other route."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import anyio

T = TypeVar("T")


class OwnThreads:
    """Runs work off the event loop, so much of it at once; the rest waits in its own line.

    Args:
        at_once: how many threads there are.
    """

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once

    async def run(self, work: Callable[[], T]) -> T:
        """What some work gives; it knows the request's reader."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    @cached_property
    def _limiter(self) -> anyio.CapacityLimiter:
        return anyio.CapacityLimiter(self.at_once)
