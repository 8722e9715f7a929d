"""Arrays as the official client packs them, and damaged ones."""

import contextlib
import struct

import numpy as np
import pytest
from fastapi import HTTPException
from lib.store.packed_arrays import pack_array, unpack_array

client = pytest.importorskip("nnInteractive.inference.remote.serialization", reason="nninteractive-client is missing")
MOST = 10**6


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8", "bool", "float64", "float16"])
def test_what_the_client_packs_is_unpacked(dtype):
    array = (np.random.default_rng(0).random((1, 9, 8, 7)) * 50).astype(dtype)
    assert np.array_equal(unpack_array(client.pack_array(array), most_bytes=MOST), array)
    many = client.pack_array(array, clevel=1, filters=[])
    assert np.array_equal(unpack_array(many, most_bytes=MOST), array)


def test_the_client_unpacks_what_is_packed():
    array = np.random.default_rng(0).integers(0, 2, (5, 6, 7)).astype(np.uint8)
    assert np.array_equal(client.unpack_array(pack_array(array)), array)
    assert np.array_equal(client.unpack_array(pack_array(np.zeros((3, 5, 7), np.uint8))), np.zeros((3, 5, 7)))


def refused(content, status=400):
    with pytest.raises(HTTPException) as caught:
        unpack_array(content, most_bytes=MOST)
    assert caught.value.status_code == status
    return str(caught.value.detail)


def test_what_is_no_array_is_named():
    good = client.pack_array(np.ones((4, 4, 4), np.float32))
    assert "does not begin with NNIA" in refused(b"XXXX" + good[4:])
    assert "version 9" in refused(good[:4] + b"\x09" + good[5:])
    assert "codec" in refused(good[:5] + b"\x07" + good[6:])
    assert "axes" in refused(good[:6] + b"\x09" + good[7:])
    assert "type" in refused(good.replace(b"float32", b"complex"))
    assert "ends before" in refused(b"")
    for cut in (5, 12, 30, 45, 60, len(good) - 1):
        refused(good[:cut])


def test_what_an_array_says_is_checked_before_it_is_made():
    good = client.pack_array(np.ones((4, 4, 4), np.float32))
    shape = struct.pack("<3q", 4, 4, 4)
    assert shape in good
    assert "at most" in refused(good.replace(shape, struct.pack("<3q", 4000, 4000, 4000)), 413)
    assert "needs 320" in refused(good.replace(shape, struct.pack("<3q", 4, 4, 5)))
    refused(good.replace(shape, struct.pack("<3q", -4, -4, 4)))
    at = good.index(shape) + len(shape) + 4  # the first chunk's length
    assert "not as long as it says" in refused(good[:at] + struct.pack("<Q", 2**40) + good[at + 8 :])
    frame = at + 16
    for seed in range(60):
        random = np.random.default_rng(seed)
        broken = bytearray(good)
        broken[int(random.integers(frame, len(good)))] ^= int(random.integers(1, 256))
        with contextlib.suppress(HTTPException):  # or other values: blosc2 has no checksum
            assert unpack_array(bytes(broken), most_bytes=MOST).shape == (4, 4, 4)
