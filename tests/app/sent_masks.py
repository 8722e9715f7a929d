"""Masks as the reading page sends and gets them, packed here by hand."""

from __future__ import annotations

import base64

import numpy as np
from small_studies import SHAPE


def bits(mask: np.ndarray) -> dict:
    """A mask as the page sends it, packed here by hand."""
    places = np.argwhere(mask)
    low, high = places.min(0), places.max(0) + 1
    part = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    packed = base64.b64encode(np.packbits(part).tobytes()).decode()
    return {"start": low.tolist(), "shape": list(part.shape), "bits": packed}


def unpacked(sent: dict) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    shape = sent["shape"]
    part = np.unpackbits(np.frombuffer(base64.b64decode(sent["bits"]), np.uint8), count=int(np.prod(shape)))
    mask[tuple(slice(a, a + n) for a, n in zip(sent["start"], shape, strict=True))] = part.reshape(shape)
    return mask
