"""Studies just opened are encoded in the background, so that their first click costs a decode too."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from lib.clicks.weights import Weights
from seganypet.pet import PetVolume

logger = logging.getLogger(__name__)

REMEMBERED = 100  # studies whose progress /info tells
WAITING = 8  # studies that wait for their turn: an uploaded one is held in memory meanwhile
FAILED = "failed: "  # begins the state of a study that cannot be read


class EncodeAhead:
    """One thread that encodes opened studies, the one opened last first; clicks go before each of its windows.

    Args:
        weights: whose segmenter encodes.
        budget_s: seconds for each study; 0 switches it off.
    """

    def __init__(self, weights: Weights, budget_s: float) -> None:
        self._weights, self._budget_s = weights, budget_s
        self._condition = threading.Condition()
        self._waiting: OrderedDict[str, Callable[[], PetVolume]] = OrderedDict()
        self._progress: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._opened = 0  # how many studies were, so far
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="encode-ahead", daemon=True)
        if budget_s > 0:
            self._thread.start()
            atexit.register(self.end)

    def open(self, study: str, read: Callable[[], PetVolume]) -> None:
        """Encode a study as soon as nothing opened later waits; one that was opened before is not begun again.

        Args:
            study: its name in `progress`.
            read: gives its volume; called in the background.
        """
        if self._budget_s <= 0:
            return
        weights = self._weights.segmenter().weights_hash
        with self._condition:
            known = self._progress.get(study)
            if study not in self._waiting and (known is None or known["weights"] != weights):
                self._progress[study] = {"windows": None, "encoded": 0, "state": "waiting", "weights": weights}
                while len(self._progress) > REMEMBERED:
                    self._progress.popitem(last=False)
                self._waiting[study] = read
                while len(self._waiting) > WAITING:
                    dropped, _ = self._waiting.popitem(last=False)
                    self._note(dropped, state="dropped", weights="")  # begun again when it is opened again
                self._opened += 1
                self._condition.notify()

    def progress(self) -> dict[str, dict[str, Any]]:
        """For each study opened lately: windows that hold body, how many are encoded, and the state."""
        with self._condition:
            return {study: dict(entry) for study, entry in self._progress.items()}

    def failed(self) -> set[str]:
        """The studies that could not be read when they were opened last."""
        with self._condition:
            return {study for study, entry in self._progress.items() if str(entry["state"]).startswith(FAILED)}

    def end(self) -> None:
        """Finish the window being encoded and no more: a process must not end while the network runs."""
        with self._condition:
            self._ended = True
            self._condition.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                study, read = self._waiting.popitem(last=True)
            try:
                self._encode(study, read)
            except Exception as error:  # a study that cannot be read is told to whoever clicks in it
                logger.warning("%s is not encoded ahead: %s", study, error)
                self._note(study, state=f"{FAILED}{error}")

    def _encode(self, study: str, read: Callable[[], PetVolume]) -> None:
        self._note(study, state="encoding")
        start, opened = time.perf_counter(), self._opened
        report = self._weights.segmenter().encode_ahead(
            read(),
            budget_s=self._budget_s,
            should_stop=lambda: self._ended or self._opened > opened,
            on_progress=lambda known, windows: self._note(study, encoded=known, windows=windows),
        )
        self._note(study, encoded=report.known, windows=report.windows, state=report.stopped_by)
        logger.info("%s: %s windows ahead in %.1f s", study, report.encoded, time.perf_counter() - start)
        if report.stopped_by == "request":
            with self._condition:
                self._note(study, state="waiting")
                self._waiting[study] = read
                self._waiting.move_to_end(study, last=False)

    def _note(self, study: str, **values: Any) -> None:
        with self._condition:
            if study in self._progress:
                self._progress[study].update(values)
