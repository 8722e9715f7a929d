"""The threads that answer clicks, by whichever door they come."""

from __future__ import annotations

from lib.http.own_threads import OwnThreads

CLICKS_AT_ONCE = 16
in_click_thread = OwnThreads(CLICKS_AT_ONCE).run
