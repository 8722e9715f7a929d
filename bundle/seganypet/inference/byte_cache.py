"""A least-recently-used memory bounded in bytes, in which two askers for one thing make it once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Value = TypeVar("Value")


class ByteCache(Generic[Value]):
    """Thread-safe LRU of values with a size in bytes.

    A value larger than the whole bound is handed out but not kept.

    Args:
        max_bytes: bound on the sum of the kept values' sizes; 0 keeps nothing.
        size_of: bytes of a value.
        newest_stays: keep the value used last even where it is larger than the whole bound.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[Value], int], *, newest_stays: bool = False) -> None:
        if max_bytes < 0:
            raise ValueError(f"max_bytes must not be negative, got {max_bytes}")
        self.max_bytes = max_bytes
        self._size_of, self._newest_stays = size_of, newest_stays
        self._kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._in_flight: dict[Hashable, Future[Value]] = {}
        self._bytes = 0
        self._generation = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    @property
    def bytes_held(self) -> int:
        with self._lock:  # or it is seen after a value came in and before those that make room went
            return self._bytes

    def get(self, key: Hashable) -> Value | None:
        """A kept value, now the most recently used one, or None."""
        with self._lock:
            return self._touch(key)

    def get_or_make(self, key: Hashable, make: Callable[[], Value]) -> tuple[Value, bool]:
        """The value of a key, made if need be, and whether this call made it.

        While one thread makes a value, others that ask for it wait. When making it fails, the error is the maker's
        and the next one waiting tries for itself.
        """
        while True:
            with self._lock:
                value = self._touch(key)
                if value is not None:
                    return value, False
                other = self._in_flight.get(key)
                if other is None:
                    mine = self._in_flight[key] = Future()
                    break
            if other.exception() is None:
                return other.result(), False
        return self._make(key, make, mine), True

    def make_unless_known(self, key: Hashable, make: Callable[[], Value]) -> bool:
        """Make a value unless it is kept or being made; never waits for another thread. Returns whether it made it."""
        with self._lock:
            if key in self._kept or key in self._in_flight:
                return False
            mine = self._in_flight[key] = Future()
        self._make(key, make, mine)
        return True

    def clear(self) -> None:
        """Forget everything; values being made now are handed to those who wait for them and not kept."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0
            self._generation += 1

    def _make(self, key: Hashable, make: Callable[[], Value], mine: Future[Value]) -> Value:
        generation = self._generation
        try:
            value = make()
            size = self._size_of(value)
        except BaseException as error:
            with self._lock:
                del self._in_flight[key]
            mine.set_exception(error)
            raise
        with self._lock:
            if generation == self._generation and (size <= self.max_bytes or self._newest_stays):
                self._kept[key] = (value, size)
                self._bytes += size
                while self._bytes > self.max_bytes and len(self._kept) > 1:
                    self._bytes -= self._kept.popitem(last=False)[1][1]
            del self._in_flight[key]
        mine.set_result(value)
        return value

    def _touch(self, key: Hashable) -> Value | None:
        entry = self._kept.get(key)
        if entry is None:
            return None
        self._kept.move_to_end(key)
        return entry[0]
