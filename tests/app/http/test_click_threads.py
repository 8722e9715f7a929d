"""Clicks wait for each other in one line, whichever door they came by, and take no other route's threads."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from fastapi.responses import Response
from lib.http import infer_route, nninteractive_routes
from lib.http.click_threads import CLICKS_AT_ONCE


class Counter:
    """Work that counts how many do it at once."""

    def __init__(self) -> None:
        self.lock, self.now, self.most, self.done = threading.Lock(), 0, 0, 0

    def __call__(self, *args: Any, **how: Any) -> Response:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.1)
        with self.lock:
            self.now -= 1
            self.done += 1
        return Response()


def test_both_doors_share_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter()

    async def no_body(*args: Any) -> bytes:
        return b"{}"

    monkeypatch.setattr(infer_route, "app_instance", lambda: None)
    monkeypatch.setattr(infer_route, "answer", counter)
    session = SimpleNamespace(lock=nullcontext())
    monkeypatch.setattr(nninteractive_routes, "acting", lambda *args: nullcontext(session))
    monkeypatch.setattr(nninteractive_routes, "read_body", no_body)

    async def ask() -> None:
        async with anyio.create_task_group() as clicks:
            for _ in range(CLICKS_AT_ONCE):
                clicks.start_soon(infer_route.infer, SimpleNamespace(headers={}), "seganypet")
                clicks.start_soon(nninteractive_routes._with_json, None, None, counter)

    anyio.run(ask)
    assert (counter.most, counter.done) == (CLICKS_AT_ONCE, 2 * CLICKS_AT_ONCE)
