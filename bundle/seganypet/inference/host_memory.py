"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_MMAP_THRESHOLD = 32 * 2**20  # glibc refuses more
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, for the next allocation.

    By default glibc hands large blocks back to the system and gets them again zeroed, page by page: thousands of page
    faults for each click that a small network decodes, some seven per cent of its time on one core. For programs that
    run the network again and again; the process stays as large as it has been once.

    Returns:
        Whether the C library took it; False for one that is not glibc, where nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD) and libc.mallopt(_M_TRIM_THRESHOLD, _NEVER))
