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
class FileState:
    """Tells a file from what took its place."""

    mtime_ns: int
    size: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        stat = path.stat()
        return cls(stat.st_mtime_ns, stat.st_size)


class Weights:
    """Loads a weights file and watches it, and the file in which training on this server's labels publishes.

    A file that changed is loaded beside the weights in force, while those go on answering, and takes over once it has
    loaded whole. One that does not load (half-copied, of another network) is reported and the weights in force stay.

    Args:
        path: model.pt or a released .pth.
        device: where the network runs.
        cache_bytes: bound on remembered embeddings.
        trained: where training publishes; once it does, that file is in force, and this one is watched no more.
        start_trained: start from what training published before, where it did.

    Raises:
        ValueError: the file holds no network that the package knows; from `load_network`.
    """

    def __init__(
        self,
        path: Path,
        device: torch.device,
        *,
        cache_bytes: int,
        trained: Path | None = None,
        start_trained: bool = True,
    ) -> None:
        self._given, self._device, self._cache_bytes, self._trained = path, device, cache_bytes, trained
        self._lock = threading.Lock()
        self._looked = time.monotonic()
        self._loading: threading.Thread | None = None
        self._does_not_load, self._gone = "", ""
        self._states = {file: FileState.of(file) for file in (path, trained) if file and file.is_file()}
        self._in_force = self._first(start_trained)

    def in_force(self) -> tuple[ClickSegmenter, Path]:
        """The segmenter of the weights in force and their file, both of one moment."""
        self._follow_file()
        return self._in_force

    def segmenter(self) -> ClickSegmenter:
        """The segmenter of the weights in force."""
        return self.in_force()[0]

    @property
    def path(self) -> Path:
        """The file of the weights in force."""
        return self._in_force[1]

    def take_up(self) -> Path:
        """The file of the weights in force once a file that changed has been loaded, or has failed to: waits for that.

        Whoever only answers clicks need not wait: while nobody clicks, nobody looks at the files.
        """
        self._wait()
        with self._lock:
            self._looked = float("-inf")
        self._follow_file()
        self._wait()
        return self.path

    @property
    def problem(self) -> str:
        """What is wrong with the files that are watched, "" if nothing."""
        return self._gone or self._does_not_load

    def warm_up(self) -> None:
        """Answer a click on nothing, so that the first reader does not wait for what is set up on first use."""
        volume = PetVolume(np.ones((8, 8, 8), np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
        self.segmenter().segment(volume, [Click((4, 4, 4))])

    def info(self) -> dict[str, Any]:
        """What is in force, for /info and for answers."""
        segmenter, path = self.in_force()
        return {
            "file": path.name,
            "hash": segmenter.weights_hash,
            "architecture": segmenter.settings.architecture,
            "device": str(segmenter.device),
            "problem": self.problem,
        }

    def _wait(self) -> None:
        loading = self._loading
        if loading is not None:
            loading.join()

    def _follow_file(self) -> None:
        """Start loading a file that changed."""
        with self._lock:
            if time.monotonic() - self._looked < LOOK_EVERY_S or (self._loading and self._loading.is_alive()):
                return
            self._looked = time.monotonic()
            changed = self._changed_file()
            if changed is not None:
                self._loading = threading.Thread(
                    target=self._take_over, args=(changed,), name="new-weights", daemon=True
                )
                self._loading.start()

    def _changed_file(self) -> Path | None:
        for file in dict.fromkeys(file for file in (self._trained, self.path) if file):
            try:
                state = FileState.of(file)
            except OSError as error:
                if file == self._trained and file == self.path:
                    self._states.pop(file, None)  # training's weights were taken back
                    return self._given
                if file == self.path:
                    self._gone = f"{file.name} cannot be read ({error.strerror}); what was loaded stays in force"
                continue
            if file == self.path:
                self._gone = ""
            if state != self._states.get(file):
                self._states[file] = state
                return file
        return None

    def _take_over(self, file: Path) -> None:
        try:
            segmenter = self._load(file)
        except Exception as error:  # whatever a broken file raises, readers keep working
            self._does_not_load = f"{file.name} changed but does not load; what was loaded before stays in force"
            logger.error("%s: %s", self._does_not_load, error)
        else:
            self._in_force, self._does_not_load = (segmenter, file), ""
            logger.info("new weights in force: %s of %s", segmenter.weights_hash, file)

    def _first(self, start_trained: bool) -> tuple[ClickSegmenter, Path]:
        if self._trained in self._states:
            if not start_trained:
                logger.warning("%s, which training published, is not in force: --conf weights is given", self._trained)
                return self._load(self._given), self._given
            try:
                return self._load(self._trained), self._trained
            except Exception as error:
                name = self._given.name
                self._does_not_load = f"{self._trained}, which training published, does not load; {name} is in force"
                logger.error("%s: %s", self._does_not_load, error)
        return self._load(self._given), self._given

    def _load(self, file: Path) -> ClickSegmenter:
        return ClickSegmenter(
            load_network(file),
            device=self._device,
            cache_bytes=self._cache_bytes,
            autocast=torch.bfloat16 if self._device.type == "cuda" else None,
        )
