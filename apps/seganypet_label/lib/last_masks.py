"""What readers were last shown, study by study and label by label, until they save it.

Viewers do not send clicks when they save, and OHIF cannot save at all: what a final label came from is kept here.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNNAMED = "target"  # of a click by OHIF, which does not say which structure it asks for
REMEMBERED = 500  # masks, cut to their extent: some kilobytes each


@dataclass(frozen=True)
class LastMask:
    """A mask as a click's answer showed it.

    Args:
        study: its id in the datastore.
        label: the structure's name; where the viewer named none, as OHIF does, `UNNAMED`.
        shape: of the study's grid.
        corner: where `extent` lies on it.
        extent: the mask, cut to the box that holds it.
        params: the answer's numbers.
        clicks: as they were answered, in order, [{"ijk": ..., "positive": ...}].
        reader: who asked, "" where nobody was asked who they are.
        client: the viewer, as it calls itself.
        at: when, in seconds since 1970.
        saved: whether it stands in a final label as it was shown.
    """

    study: str
    label: str
    shape: tuple[int, int, int]
    corner: tuple[int, int, int]
    extent: NDArray[np.bool_]
    params: Mapping[str, Any]
    clicks: tuple[Mapping[str, Any], ...]
    reader: str
    client: str
    at: float
    saved: bool = False

    def mask(self) -> NDArray[np.bool_]:
        """bool [i, j, k] on the study's grid."""
        mask = np.zeros(self.shape, bool)
        mask[tuple(slice(a, a + n) for a, n in zip(self.corner, self.extent.shape, strict=True))] = self.extent
        return mask


class LastMasks:
    """The last mask of each study and label, in memory, within a bound."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._masks: OrderedDict[tuple[str, str], LastMask] = OrderedDict()

    def note(
        self,
        study: str,
        label: str,
        mask: NDArray[np.bool_],
        params: Mapping[str, Any],
        clicks: tuple[Mapping[str, Any], ...],
        *,
        reader: str,
        client: str,
    ) -> None:
        """Remember an answer in place of the one before; an empty mask takes it away."""
        corner, extent = _cut(mask)
        shape = (mask.shape[0], mask.shape[1], mask.shape[2])
        shown = LastMask(study, label, shape, corner, extent, dict(params), clicks, reader, client, time.time())
        with self._lock:
            self._masks.pop((study, label), None)
            if extent.size:
                self._masks[study, label] = shown
            while len(self._masks) > REMEMBERED:
                self._masks.popitem(last=False)

    def get(self, study: str, label: str) -> LastMask | None:
        """The last mask of a study and label, or None."""
        with self._lock:
            return self._masks.get((study, label))

    def of_study(self, study: str) -> list[LastMask]:
        """The last masks of a study, the newest first."""
        with self._lock:
            return [shown for shown in reversed(self._masks.values()) if shown.study == study]

    def rename(self, study: str, label: str, name: str) -> LastMask | None:
        """Give a mask the name that its reader chose when saving it."""
        with self._lock:
            shown = self._masks.pop((study, label), None)
            if shown is not None:
                shown = replace(shown, label=name, params={**shown.params, "label": name, "label_names": {name: 1}})
                self._masks[study, name] = shown
            return shown

    def note_saved(self, study: str, name: str) -> None:
        """Remember that a mask was saved as it was shown."""
        with self._lock:
            shown = self._masks.get((study, name))
            if shown is not None:
                self._masks[study, name] = replace(shown, saved=True)

    def came_from(self, study: str, name: str, mask: NDArray[np.bool_]) -> dict[str, Any]:
        """What is said of a saved target: clicks, weights, and whether its reader changed the mask by hand."""
        shown = self.get(study, name)
        if shown is None or shown.shape != mask.shape:
            return {}
        corner, extent = _cut(mask)
        same = corner == shown.corner and np.array_equal(extent, shown.extent)
        return {"clicks": list(shown.clicks), "weights": shown.params.get("weights"), "edited": not same}


def _cut(mask: NDArray[np.bool_]) -> tuple[tuple[int, int, int], NDArray[np.bool_]]:
    sides = [np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    if not sides[0].size:
        return (0, 0, 0), np.zeros((0, 0, 0), bool)
    i, j, k = (slice(int(side[0]), int(side[-1]) + 1) for side in sides)
    return (i.start, j.start, k.start), mask[i, j, k].copy()
