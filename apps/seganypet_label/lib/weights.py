"""The segmenter of the weights in force: published weights take its place, remembered embeddings go with it."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter
from seganypet.networks import load_network
from seganypet.pet import PetVolume

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0  # a stat per click would cost nothing, but a file being copied changes many times a second


@dataclass(frozen=True)
class _FileState:
    mtime_ns: int
    size: int

    @classmethod
    def of(cls, path: Path) -> _FileState:
        stat = path.stat()
        return cls(stat.st_mtime_ns, stat.st_size)


class Weights:
    """Loads a weights file and watches it.

    A file that changed is loaded beside the weights in force, while those go on answering, and takes over once it has
    loaded whole. One that does not load (half-copied, of another network) is reported and the weights in force stay.

    Args:
        path: model.pt or a released .pth.
        device: where the network runs.
        cache_bytes: bound on remembered embeddings.

    Raises:
        ValueError: the file holds no network that the package knows; from `load_network`.
    """

    def __init__(self, path: Path, device: torch.device, *, cache_bytes: int) -> None:
        self.path, self._device, self._cache_bytes = path, device, cache_bytes
        self._lock = threading.Lock()
        self._looked = time.monotonic()
        self._state = _FileState.of(path)
        self._loading: threading.Thread | None = None
        self._segmenter = self._load()
        self.problem = ""

    def segmenter(self) -> ClickSegmenter:
        """The segmenter of the weights in force."""
        self._follow_file()
        return self._segmenter

    def warm_up(self) -> None:
        """Answer a click on nothing, so that the first reader does not wait for what is set up on first use."""
        volume = PetVolume(np.ones((8, 8, 8), np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
        self.segmenter().segment(volume, [Click((4, 4, 4))])

    def info(self) -> dict[str, Any]:
        """What is in force, for /info and for answers."""
        segmenter = self.segmenter()
        return {
            "file": self.path.name,
            "hash": segmenter.weights_hash,
            "architecture": segmenter.settings.architecture,
            "device": str(segmenter.device),
            "problem": self.problem,
        }

    def _follow_file(self) -> None:
        """Start loading a file that changed."""
        with self._lock:
            if time.monotonic() - self._looked < LOOK_EVERY_S or (self._loading and self._loading.is_alive()):
                return
            self._looked = time.monotonic()
            try:
                state = _FileState.of(self.path)
            except OSError as error:
                self.problem = f"{self.path.name} cannot be read ({error.strerror}); what was loaded stays in force"
                return
            if state != self._state:
                self._state = state
                self._loading = threading.Thread(target=self._take_over, name="new-weights", daemon=True)
                self._loading.start()

    def _take_over(self) -> None:
        try:
            segmenter = self._load()
        except Exception as error:  # whatever a broken file raises, readers keep working
            self.problem = f"{self.path.name} changed but does not load; what was loaded before stays in force"
            logger.error("%s: %s", self.problem, error)
        else:
            self._segmenter, self.problem = segmenter, ""
            logger.info("new weights in force: %s", segmenter.weights_hash)

    def _load(self) -> ClickSegmenter:
        return ClickSegmenter(
            load_network(self.path),
            device=self._device,
            cache_bytes=self._cache_bytes,
            autocast=torch.bfloat16 if self._device.type == "cuda" else None,
        )
