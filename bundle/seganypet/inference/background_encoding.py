"""Encoding a study's windows before anybody clicks, clicks always going first."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from seganypet.inference.window_encoder import WindowEncoder
from seganypet.inference.windows import windows_by_uptake
from seganypet.pet import PetVolume
from seganypet.pet.plausibility import body_floor

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncodeAheadReport:
    """What background encoding came to.

    Args:
        windows: grid windows that hold body; 0 for weights whose windows are placed by the click.
        known: how many of them are encoded now, by this run or before it.
        encoded: how many this run encoded.
        seconds: how long it took, waiting for clicks included.
        stopped_by: "done", "budget", "request" (should_stop) or "memory" (no more fit the embedding cache, or a window
            did not fit the GPU).
    """

    windows: int
    known: int
    encoded: int
    seconds: float
    stopped_by: str


def encode_ahead(
    encoder: WindowEncoder,
    volume: PetVolume,
    *,
    budget_s: float | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> EncodeAheadReport:
    """Encode the grid windows of a study that hold body, those with the highest uptake first.

    It never pushes embeddings out of the cache that this same run put there.

    Args:
        budget_s: stop after this many seconds; a window that was begun is finished.
        should_stop: asked between windows.
        on_progress: called as (known windows, all windows) after each.
    """
    start = time.perf_counter()
    if encoder.net.settings.placement != "grid":
        return EncodeAheadReport(0, 0, 0, 0.0, "done")
    image = encoder.image(volume)
    windows = windows_by_uptake(image.voxels, encoder.net.window_size, floor=body_floor(image.voxels.numpy()))
    known = encoded = 0
    stopped_by = "done"
    for window in windows:
        if should_stop is not None and should_stop():
            stopped_by = "request"
            break
        if budget_s is not None and time.perf_counter() - start >= budget_s:
            stopped_by = "budget"
            break
        if (known + 1) * encoder.bytes_per_window > encoder.embeddings.max_bytes:
            stopped_by = "memory"
            break
        try:
            encoded += encoder.encode_in_background(volume, image, window)
        except torch.OutOfMemoryError as error:
            logger.warning("out of memory on %s, the rest of this study waits for clicks: %s", encoder.device, error)
            stopped_by = "memory"
            break
        known += 1
        if on_progress is not None:
            on_progress(known, len(windows))
    return EncodeAheadReport(len(windows), known, encoded, time.perf_counter() - start, stopped_by)
