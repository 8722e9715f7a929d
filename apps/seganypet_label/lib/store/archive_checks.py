"""Checks of open studies beside the clicks: now and then, in a thread, waited for no longer than a click can wait."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

MOST = 4  # checks at one time; a study that finds no place is checked with its next click


@dataclass
class _Check:
    begun: float
    ended: threading.Event = field(default_factory=threading.Event)


class Checks:
    """Runs a study's check where the last one is long enough ago.

    After one that failed, or that let a click wait for too long, nothing is checked for a while: an archive that is
    away delays one click and no more.

    Args:
        every_s: between two checks of one study.
        wait_s: for the end of one; what it finds later counts with the next click.
    """

    def __init__(self, every_s: float, wait_s: float = 2.0) -> None:
        self.every_s, self.wait_s = every_s, wait_s
        self._lock = threading.Lock()
        self._known: dict[str, _Check] = {}
        self._quiet_until = 0.0

    def run(self, study_id: str, check: Callable[[], None]) -> None:
        """Begin a check where one is due, and wait for it.

        Args:
            study_id: whose.
            check: asks the archive; an OSError says that it does not answer.
        """
        one = self._due(study_id, check)
        if one is None or one.ended.wait(max(0.0, one.begun + self.wait_s - time.monotonic())):
            return
        self._be_quiet()

    def note(self, study_id: str) -> None:
        """What a check would find is known at this moment."""
        one = _Check(time.monotonic())
        one.ended.set()
        with self._lock:
            self._known[study_id] = one

    def _due(self, study_id: str, check: Callable[[], None]) -> _Check | None:
        """The check that a click waits for, None where it waits for none."""
        now = time.monotonic()
        with self._lock:
            if now < self._quiet_until:
                return None
            known = self._known.get(study_id)
            if known is not None and (not known.ended.is_set() or now - known.begun < self.every_s):
                return known
            if sum(not one.ended.is_set() for one in self._known.values()) >= MOST:
                return None
            self._known[study_id] = one = _Check(now)
        # a daemon: no server waits at its end for an archive that hangs
        threading.Thread(target=self._run, args=(study_id, check, one), daemon=True).start()
        return one

    def _run(self, study_id: str, check: Callable[[], None], one: _Check) -> None:
        try:
            check()
        except OSError as error:  # those of requests are OSErrors, too
            self._be_quiet()
            logger.info("%s is not checked, what is here is shown: %s", study_id, error)
        except Exception:
            logger.exception("%s could not be checked, what is here is shown", study_id)
        finally:
            one.ended.set()

    def _be_quiet(self) -> None:
        with self._lock:
            self._quiet_until = time.monotonic() + self.every_s
