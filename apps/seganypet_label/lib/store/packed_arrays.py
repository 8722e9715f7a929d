"""Arrays as nnInteractive's clients send and take them: a header, and blosc2 frames.

Header, little endian: "NNIA", version 1, codec (1 ZSTD, 2 LZ4), axes, length of the type's name, that name, an int64
for each axis; then a uint32 count of chunks, and for each its length unpacked and packed (uint64) and its frame. What
a frame says of itself is held against the header before anything of that size is made.
"""

from __future__ import annotations

import math
import struct

import blosc2
import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from lib.store.bad_request import BadRequest

MAGIC, VERSION = b"NNIA", 1
ZSTD, LZ4 = 1, 2
TYPES = (
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64"),
)
MOST_AXES = 4
_START = struct.Struct("<4sBBBB")
_CHUNK = struct.Struct("<QQ")


def pack_array(array: NDArray[np.uint8]) -> bytes:
    """A mask's box as one frame; LZ4, since it is made while a reader waits."""
    content = np.ascontiguousarray(array)
    name = content.dtype.name.encode("ascii")
    frame = blosc2.compress2(
        content.tobytes(),
        typesize=content.itemsize,
        codec=blosc2.Codec.LZ4,
        clevel=1,
        filters=[blosc2.Filter.NOFILTER],
        nthreads=1,
    )
    header = _START.pack(MAGIC, VERSION, LZ4, content.ndim, len(name)) + name
    shape = struct.pack(f"<{content.ndim}q", *content.shape)
    return b"".join((header, shape, struct.pack("<I", 1), _CHUNK.pack(content.nbytes, len(frame)), frame))


def unpack_array(content: bytes, *, most_bytes: int) -> NDArray[np.generic]:
    """The array of a request's body.

    Args:
        content: as above.
        most_bytes: that it may have unpacked.

    Raises:
        BadRequest: anything that is not such an array; what is wrong is named.
        HTTPException: 413 for one larger than `most_bytes`.
    """
    try:
        shape, dtype, at = _header(content)
        size = math.prod(shape) * dtype.itemsize
        if size > most_bytes:
            raise HTTPException(413, f"an array of {size >> 20} MB is not taken; at most {most_bytes >> 20} MB are")
        return _filled(content, shape, dtype, size, at)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise BadRequest("the body ends before its array does") from None


def _header(content: bytes) -> tuple[tuple[int, ...], np.dtype, int]:
    magic, version, codec, axes, length = _START.unpack_from(content)
    if magic != MAGIC:
        raise BadRequest("the body is no packed array: it does not begin with NNIA")
    if version != VERSION:
        raise BadRequest(f"a packed array of version {version} is not known here, {VERSION} is")
    if codec not in (ZSTD, LZ4):
        raise BadRequest(f"a packed array's codec must be {ZSTD} (ZSTD) or {LZ4} (LZ4), got {codec}")
    if not 1 <= axes <= MOST_AXES:
        raise BadRequest(f"an array of {axes} axes is not taken; images have 4, masks 3")
    at = _START.size + length
    name = content[_START.size : at].decode("ascii")
    if name not in TYPES:
        raise BadRequest(f"an array's type must be one of {', '.join(TYPES)}, got {name!r}"[:300])
    shape = struct.unpack_from(f"<{axes}q", content, at)
    if min(shape) < 1:
        raise BadRequest(f"an array needs voxels along each axis, got the shape {list(shape)}")
    return shape, np.dtype(name), at + 8 * axes


def _filled(content: bytes, shape: tuple[int, ...], dtype: np.dtype, size: int, at: int) -> NDArray[np.generic]:
    (chunks,) = struct.unpack_from("<I", content, at)
    at += 4
    frames = []
    total = 0
    for _ in range(chunks):
        length, packed = _CHUNK.unpack_from(content, at)
        at += _CHUNK.size
        frame = content[at : at + packed]
        if len(frame) < packed:
            raise IndexError
        try:
            told = blosc2.get_cbuffer_sizes(frame)[0] if packed else -1
        except Exception:  # whatever blosc2 finds wrong with it
            told = -1
        total += length
        if told != length or length % dtype.itemsize or total > size:
            raise BadRequest("a chunk of the packed array is not as long as it says")
        frames.append((frame, length))
        at += packed
    if total != size:
        raise BadRequest(f"the packed array holds {total} bytes, its shape {list(shape)} needs {size}")
    array = np.empty(math.prod(shape), dtype)
    done = 0
    for frame, length in frames:
        try:
            blosc2.decompress2(frame, dst=array[done // dtype.itemsize : (done + length) // dtype.itemsize])
        except Exception as error:
            raise BadRequest(f"the packed array cannot be unpacked: {error}") from None
        done += length
    return array.reshape(shape)
