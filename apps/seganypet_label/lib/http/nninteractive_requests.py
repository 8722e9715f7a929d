"""What requests of nnInteractive's protocol say, checked: a body within bounds, signs, voxel ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
from fastapi import HTTPException, Request

from lib.store.bad_request import BadRequest


async def read_body(request: Request, most: int) -> bytes:
    """A request's body, refused with 413 where it is longer than `most` bytes."""
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > most:
            raise HTTPException(413, f"a body of more than {most / 2**20:.0f} MB is not taken here")
        parts.append(part)
    return b"".join(parts)


def read_sign(body: Mapping[str, Any]) -> bool:
    """Whether a prompt says what belongs to the target, or what does not."""
    value = body.get("include_interaction")
    if not isinstance(value, bool):
        raise BadRequest(f"include_interaction must be true or false, got {value!r}"[:200])
    return value


def read_ranges(value: Any, name: str) -> list[tuple[int, int]]:
    """Three half-open voxel ranges in whole numbers."""
    good = isinstance(value, list) and len(value) == 3 and all(are_numbers(side, 2) for side in value)
    if not good or not all(float(n).is_integer() and abs(n) < 2**31 for side in value for n in side):
        raise BadRequest(f"{name} must be three half-open ranges of whole numbers, got {value!r}"[:200])
    return [(int(low), int(high)) for low, high in value]


def read_rounded_ranges(value: Any) -> list[tuple[int, int]]:
    """A box's three half-open voxel ranges, whose ends may lie between voxels: rounded, to one voxel at least."""
    if not isinstance(value, list) or len(value) != 3 or not all(are_numbers(side, 2) for side in value):
        raise BadRequest(f"bbox_coords must be three half-open ranges, got {value!r}"[:200])
    ranges = []
    for low, high in value:
        if not low < high:
            raise BadRequest(f"the box {value} holds no voxel: a range has to end after it begins"[:200])
        first = int(np.floor(low + 0.5))
        ranges.append((first, max(first + 1, int(np.floor(high + 0.5)))))
    return ranges


def are_numbers(value: Any, length: int) -> TypeGuard[list[float]]:
    """Whether something is a list of so many numbers that whole voxels can be told apart in."""
    return (
        isinstance(value, list)
        and len(value) == length
        and all(isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 2**53 for one in value)
    )
