"""What readers were last shown, study by study, label by label and reader by reader, until they save it.

Viewers do not send clicks when they save, and OHIF cannot save at all: what a final label came from is kept here.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seganypet.clicks.voxel_set import Box, VoxelSet, smallest_box

UNNAMED = "target"  # of a click by OHIF, which does not say which structure it asks for
REMEMBERED = 500  # masks
REMEMBERED_BYTES = 64 * 2**20  # of their packed voxels together
Key = tuple[str, str, str]  # study, label, reader
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class LastMask:
    """A mask as a click's answer showed it.

    Args:
        study: its id in the datastore.
        label: the structure's name; where the viewer named none, as OHIF does, `UNNAMED`.
        shape: of the study's grid.
        corner: where the box that holds the mask lies on it.
        extent: voxels of that box along each axis.
        packed: the box's voxels, packed bits, compressed: a whole body's liver takes some 30 kB.
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
    extent: tuple[int, int, int]
    packed: bytes
    params: Mapping[str, Any]
    clicks: tuple[Mapping[str, Any], ...]
    reader: str
    client: str
    at: float
    saved: bool = False

    @cached_property
    def seen(self) -> str:
        """Tells this mask from any other, of this label and reader or another: what a person who saw it sends back."""
        digest = blake2b(digest_size=12)
        digest.update(repr((self.key, self.shape, self.corner, self.extent)).encode())
        digest.update(self.packed)
        return digest.hexdigest()

    @property
    def key(self) -> Key:
        return self.study, self.label, self.reader

    def mask(self) -> NDArray[np.bool_]:
        """bool [i, j, k] on the study's grid."""
        return VoxelSet(self.corner, self.extent, zlib.decompress(self.packed)).on(self.shape)


class LastMasks:
    """The last mask of each study, label and reader, in memory, within bounds of number and bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._masks: OrderedDict[Key, LastMask] = OrderedDict()

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
        box: Box | None = None,
    ) -> None:
        """Remember an answer in place of the reader's one before; an empty mask takes it away.

        Args:
            box: the smallest index box that holds the mask, where it is known already.
        """
        shown = LastMask(study, label, *_packed(mask, box), dict(params), clicks, reader, client, time.time())
        with self._lock:
            self._masks.pop(shown.key, None)
            if 0 not in shown.extent:
                self._masks[shown.key] = shown
            while len(self._masks) > REMEMBERED or self.bytes_held() > REMEMBERED_BYTES:
                self._masks.popitem(last=False)

    def seen(self, study: str, seen: str) -> LastMask | None:
        """The mask of a study that a person saw, None where nobody is shown it any more."""
        with self._lock:
            return next((one for one in self._masks.values() if one.study == study and one.seen == seen), None)

    def of_study(self, study: str) -> list[LastMask]:
        """The last masks of a study, the newest first."""
        with self._lock:
            return [shown for shown in reversed(self._masks.values()) if shown.study == study]

    def rename(self, shown: LastMask, name: str) -> LastMask:
        """Give a mask the name that its reader chose when saving it."""
        named = replace(shown, label=name, params={**shown.params, "label": name, "label_names": {name: 1}})
        with self._lock:
            self._masks.pop(shown.key, None)
            self._masks[named.key] = named
        return named

    def note_saved(self, study: str, name: str, mask: NDArray[np.bool_]) -> None:
        """Remember that a mask was saved as it was shown."""
        same = _packed(mask)
        with self._lock:
            for key, shown in self._masks.items():
                if key[:2] == (study, name) and _what(shown) == same:
                    self._masks[key] = replace(shown, saved=True)

    def came_from(self, study: str, name: str, mask: NDArray[np.bool_]) -> dict[str, Any]:
        """What is said of a saved target: clicks, weights, and whether its reader changed the mask by hand.

        Of several readers' masks of that name, the one that was saved as it is; else the newest.
        """
        same = _packed(mask)
        shown = [one for one in self.of_study(study) if one.label == name and one.shape == mask.shape]
        if not shown:
            return {}
        as_it_is = next((one for one in shown if _what(one) == same), None)
        source = as_it_is or shown[0]
        weights = source.params.get("weights")
        return {"clicks": list(source.clicks), "weights": weights, "edited": as_it_is is None}

    @property
    def max_bytes(self) -> int:
        return REMEMBERED_BYTES

    def bytes_held(self) -> int:
        """Bytes of the packed masks."""
        return sum(len(shown.packed) for shown in list(self._masks.values()))


def _what(shown: LastMask) -> tuple[Any, ...]:
    return shown.shape, shown.corner, shown.extent, shown.packed


def _packed(mask: NDArray[np.bool_], box: Box | None = None) -> tuple[Triple, Triple, Triple, bytes]:
    """Grid, corner and size of the smallest box that holds a mask, and the box's voxels packed."""
    grid = (mask.shape[0], mask.shape[1], mask.shape[2])
    found = box or smallest_box(mask)
    if found is None:
        return grid, (0, 0, 0), (0, 0, 0), b""
    i, j, k = found
    bits = np.packbits(np.ascontiguousarray(mask[i, j, k])).tobytes()
    extent = (i.stop - i.start, j.stop - j.start, k.stop - k.start)
    return grid, (i.start, j.start, k.start), extent, zlib.compress(bits, 1)
