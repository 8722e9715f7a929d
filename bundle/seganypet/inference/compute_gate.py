"""Whose turn it is on the processor: clicks in the order they came, background work when no click waits."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

CLICK, BACKGROUND = 0, 1


class ComputeGate:
    """Lets one network computation run at a time, so that each gets every core and rounds the same way.

    A computation is never interrupted: a click waits at most for the window being encoded.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._tickets = count()
        self._waiting: list[tuple[int, int]] = []
        self._busy = False

    @contextmanager
    def turn(self, priority: int = CLICK) -> Iterator[None]:
        """Wait for and hold the processor.

        Args:
            priority: CLICK, or BACKGROUND, which goes after every waiting click.
        """
        with self._condition:
            ticket = (priority, next(self._tickets))
            heapq.heappush(self._waiting, ticket)
            try:
                self._condition.wait_for(lambda: not self._busy and self._waiting[0] == ticket)
            except BaseException:
                self._waiting.remove(ticket)
                heapq.heapify(self._waiting)
                self._condition.notify_all()
                raise
            heapq.heappop(self._waiting)
            self._busy = True
        try:
            yield
        finally:
            with self._condition:
                self._busy = False
                self._condition.notify_all()
