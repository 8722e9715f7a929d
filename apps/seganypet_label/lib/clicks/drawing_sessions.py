"""Readers who send their own image and draw on it, prompt by prompt: who holds a session, and what they have drawn.

A session ends when its reader has done nothing for a while, or when nothing proves that the reader's program still
runs. Both clocks are the server's.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seganypet.clicks import InitialMask, Prompt
from seganypet.clicks.voxel_set import Box, smallest_box
from seganypet.inference import ClickSegmenter
from seganypet.inference.segmenter import SegmentationDetails
from seganypet.pet import PetVolume


class SessionGone(Exception):
    """There is no such session, or not any more."""


class NoRoom(Exception):
    """All sessions are taken, or their images fill the memory that they may."""


@dataclass
class DrawingSession:
    """A reader's image, prompts and the mask they were last sent.

    Args:
        token: that names it.
        user: whose it is, "" where nobody is asked who they are.
        acted: when its reader last did something, on the server's clock.
        proved: when its reader's program was last heard of.
    """

    token: str
    user: str
    acted: float
    proved: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    volume: PetVolume | None = None
    prompts: tuple[Prompt, ...] = ()
    shown: NDArray[np.bool_] | None = None
    shown_box: Box | None = None
    waiting: bool = False  # prompts that no answer was asked for yet
    requests: int = 0  # being answered

    def begin(self, volume: PetVolume) -> None:
        """Take an image, without prompts."""
        self.volume = volume
        self.forget()

    def forget(self) -> None:
        """Forget the prompts and what was shown."""
        self.prompts, self.waiting = (), False
        self.show_nothing()

    def show_nothing(self) -> None:
        """The reader's mask is empty: the next answer has to say all of it."""
        self.shown, self.shown_box = None, None

    def keep(self, prompts: tuple[Prompt, ...]) -> None:
        """Take prompts without answering them yet."""
        self.prompts, self.waiting = prompts, True

    def start_from(self, initial: InitialMask) -> None:
        """Go on from a mask that the reader has in view already; what was before it comes back by undo."""
        assert self.volume is not None
        self.prompts, self.waiting = (*self.prompts, initial), False
        self.shown = initial.on(self.volume.shape)
        self.shown_box = None if initial.voxels is None else initial.voxels.box

    def answer(
        self, segmenter: ClickSegmenter, prompts: tuple[Prompt, ...]
    ) -> tuple[Box | None, NDArray[np.bool_], SegmentationDetails | None]:
        """Answer prompts, and keep them where that worked.

        Returns:
            The box that changed of what was shown before, None where nothing did; the mask; what it took.

        Raises:
            ValueError: a prompt outside the image.
        """
        assert self.volume is not None
        details = None
        if prompts:
            mask, details = segmenter.segment_with_details(self.volume, prompts)
            box = details.box
        else:
            mask, box = np.zeros(self.volume.shape, bool), None
        before = self.shown if self.shown is not None else np.zeros((), bool)
        within = _around(box, self.shown_box)
        changed = None
        if within is not None:
            difference = mask[within] ^ (before[within] if before.ndim else before)
            inner = smallest_box(difference)
            if inner is not None:
                changed = _moved(inner, within)
        self.prompts, self.waiting = prompts, False
        self.shown, self.shown_box = mask, box
        return changed, mask, details

    @property
    def bytes_held(self) -> int:
        if self.volume is None:
            return 0
        shown = 0 if self.shown is None else self.shown.nbytes
        return self.volume.voxels.nbytes + shown + sum(map(bytes_of, self.prompts))


def bytes_of(prompt: Prompt) -> int:
    """Bytes that a prompt's voxels take."""
    voxels = getattr(prompt, "voxels", None)
    return 0 if voxels is None else len(voxels.bits)


class DrawingSessions:
    """The sessions of a server, within bounds of number and bytes.

    Args:
        most: sessions at once.
        most_bytes: of their images together.
        idle_s: seconds without an action after which a session ends.
        alive_s: seconds without a sign of life after which it ends.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        most: int,
        most_bytes: int,
        *,
        idle_s: float = 600.0,
        alive_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most, self.most_bytes, self.idle_s, self.alive_s = most, most_bytes, idle_s, alive_s
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, DrawingSession] = {}
        self._sweep: threading.Timer | None = None

    def claim(self, user: str) -> DrawingSession:
        """A new session.

        Raises:
            NoRoom: as many are held as may be.
        """
        with self._lock:
            self._end_old()
            if len(self._sessions) >= self.most:
                raise NoRoom(f"all {self.most} sessions are taken; try again when one has ended")
            now = self._clock()
            session = DrawingSession(secrets.token_urlsafe(24), user, now, now)
            self._sessions[session.token] = session
            self._sweep_later()
            return session

    def of(self, token: str, user: str, *, acts: bool = True, proves: bool = True) -> DrawingSession:
        """The session of a token.

        Args:
            user: who asks; another's session is none.
            acts: whether the reader does something, which sets the idle clock back.
            proves: whether it shows that the reader's program runs.

        Raises:
            SessionGone: there is none, or it has ended.
        """
        with self._lock:
            self._end_old()
            session = self._sessions.get(token)
            if session is None or session.user != user:
                raise SessionGone("this session has ended, or never was: claim a new one and send the image again")
            if acts:
                session.acted = self._clock()
            if proves:
                session.proved = self._clock()
            return session

    @contextmanager
    def busy(self, session: DrawingSession) -> Iterator[None]:
        """While a request of a session is read and answered it does not end; both clocks begin again then.

        A client that waits for its answer may be unable to say meanwhile that it runs.
        """
        with self._lock:
            session.requests += 1
        try:
            yield
        finally:
            with self._lock:
                session.requests -= 1
                session.acted = session.proved = self._clock()

    def release(self, token: str, user: str) -> None:
        """End a session; one that has ended stays so."""
        with self._lock:
            if token in self._sessions and self._sessions[token].user == user:
                del self._sessions[token]

    def remaining_s(self, session: DrawingSession) -> float:
        """Seconds until a session ends if its reader does nothing."""
        return max(0.0, session.acted + self.idle_s - self._clock())

    def check_room(self, session: DrawingSession, size: int) -> None:
        """Refuse an image that would fill the memory.

        Raises:
            NoRoom: the others' images leave no room for it.
        """
        with self._lock:
            held = sum(other.bytes_held for other in self._sessions.values() if other is not session)
            if held + size > self.most_bytes:
                raise NoRoom(f"the other sessions' images leave no room for one of {size >> 20} MB; try again later")

    def __len__(self) -> int:
        with self._lock:
            self._end_old()
            return len(self._sessions)

    def bytes_held(self) -> int:
        """Bytes of all images."""
        with self._lock:
            return sum(session.bytes_held for session in self._sessions.values())

    def _sweep_later(self) -> None:
        """End old sessions in a while even if nobody asks, so that their images do not stay in memory."""
        if self._sweep is None and self._sessions:
            self._sweep = threading.Timer(self.alive_s, self._sweep_now)
            self._sweep.daemon = True
            self._sweep.start()

    def _sweep_now(self) -> None:
        with self._lock:
            self._sweep = None
            self._end_old()
            self._sweep_later()

    def _end_old(self) -> None:
        now = self._clock()
        for token, session in list(self._sessions.items()):
            overdue = now - session.acted > self.idle_s or now - session.proved > self.alive_s
            if overdue and not session.requests:
                del self._sessions[token]


def _around(*boxes: Box | None) -> Box | None:
    """The smallest box that holds boxes, None for none."""
    found = [box for box in boxes if box is not None]
    if not found:
        return None
    i, j, k = (slice(min(b[a].start for b in found), max(b[a].stop for b in found)) for a in range(3))
    return (i, j, k)


def _moved(inner: Box, outer: Box) -> Box:
    """A box within another, on the grid of that other."""
    i, j, k = (slice(b.start + a.start, b.start + a.stop) for a, b in zip(inner, outer, strict=True))
    return (i, j, k)
