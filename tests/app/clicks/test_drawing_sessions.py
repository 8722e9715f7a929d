"""Sessions of readers who draw: claimed, kept alive, ended by two clocks, bounded."""

import time

import numpy as np
import pytest
from lib.clicks.drawing_sessions import DrawingSessions, NoRoom, SessionGone

from seganypet.clicks import InitialMask, VoxelSet
from seganypet.pet import PetVolume


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(clock):
    return DrawingSessions(2, 4000, idle_s=600, alive_s=60, clock=clock)


def test_a_session_is_its_readers_alone(sessions):
    token = sessions.claim("ann").token
    assert sessions.of(token, "ann").token == token
    for other in ("bob", ""):
        with pytest.raises(SessionGone, match="claim a new one"):
            sessions.of(token, other)
    sessions.release(token, "bob")
    assert len(sessions) == 1
    sessions.release(token, "ann")
    with pytest.raises(SessionGone):
        sessions.of(token, "ann")


def test_a_program_that_is_silent_loses_its_session(sessions, clock):
    session = sessions.claim("")
    for _ in range(5):
        clock.now += 50
        sessions.of(session.token, "", acts=False)  # heartbeats
    clock.now += 61
    with pytest.raises(SessionGone):
        sessions.of(session.token, "")


def test_a_reader_who_does_nothing_loses_it_though_the_program_runs(sessions, clock):
    session = sessions.claim("")
    for _ in range(12):
        clock.now += 50
        sessions.of(session.token, "", acts=False)
    assert sessions.remaining_s(session) == 0
    clock.now += 1
    with pytest.raises(SessionGone):
        sessions.of(session.token, "", acts=False)


def test_looking_keeps_nothing_alive(sessions, clock):
    session = sessions.claim("")
    clock.now += 50
    sessions.of(session.token, "", acts=False, proves=False)
    clock.now += 20
    with pytest.raises(SessionGone):
        sessions.of(session.token, "")


def test_sessions_and_their_images_are_bounded(sessions, clock):
    first, second = sessions.claim(""), sessions.claim("")
    with pytest.raises(NoRoom, match="all 2 sessions"):
        sessions.claim("")
    first.begin(PetVolume(np.ones((10, 10, 8), np.float32), np.eye(4)))
    sessions.check_room(first, 4000)  # in place of its own
    with pytest.raises(NoRoom, match="no room"):
        sessions.check_room(second, 801)
    sessions.check_room(second, 800)
    clock.now += 61
    assert len(sessions) == 0
    sessions.check_room(sessions.claim(""), 4000)


def test_a_session_does_not_end_while_a_request_of_its_is_answered(sessions, clock):
    session = sessions.claim("")
    with sessions.busy(session):
        clock.now += 1000  # a long upload: the client cannot say meanwhile that it runs
        assert len(sessions) == 1
    clock.now += 59
    assert sessions.of(session.token, "", acts=False, proves=False) is session
    clock.now += 2
    assert len(sessions) == 0


def test_masks_and_drawings_count_as_memory(sessions):
    session = sessions.claim("")
    session.begin(PetVolume(np.ones((10, 10, 8), np.float32), np.eye(4)))
    assert session.bytes_held == 3200
    session.start_from(InitialMask(VoxelSet.of(np.ones((10, 10, 8), bool))))
    assert session.bytes_held == 3200 + 800 + 100


def test_an_ended_sessions_image_leaves_the_memory_though_nobody_asks_again():
    clock = Clock()
    sessions = DrawingSessions(2, 4000, idle_s=600, alive_s=0.05, clock=clock)
    session = sessions.claim("")
    session.begin(PetVolume(np.zeros((5, 5, 5), np.float32), np.eye(4)))
    assert sessions.bytes_held() == 500
    clock.now += 1
    for _ in range(600):
        if not sessions.bytes_held():
            break
        time.sleep(0.05)
    assert sessions.bytes_held() == 0
