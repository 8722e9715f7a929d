"""Studies are encoded before anybody clicks, the one opened last first."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from lib.clicks.encode_ahead import WAITING, EncodeAhead
from lib.clicks.weights import Weights
from small_studies import AFFINE, HOT_CENTRE, hot_block

from seganypet.clicks import Click
from seganypet.pet import PetVolume


@pytest.fixture
def weights(everything_weights):
    return Weights(everything_weights, torch.device("cpu"), cache_bytes=10**9)


def wait_for(ahead: EncodeAhead, study: str) -> dict:
    end = time.monotonic() + 60
    while ahead.progress().get(study, {}).get("state") in (None, "waiting", "encoding"):
        assert time.monotonic() < end, ahead.progress()
        time.sleep(0.02)
    return ahead.progress()[study]


def test_the_first_click_on_an_opened_study_encodes_no_more_than_its_own_fine_window(weights):
    volume = PetVolume(hot_block(), AFFINE)
    ahead = EncodeAhead(weights, budget_s=60)
    ahead.open("block", lambda: volume)
    progress = wait_for(ahead, "block")
    assert progress["state"] == "done"
    assert progress["encoded"] == progress["windows"] >= 1
    _, details = weights.segmenter().segment_with_details(volume, [Click(tuple(HOT_CENTRE))])
    # the fine window around the click, which nobody could know of, and the coarse one that was at hand
    assert (details.windows_encoded, details.windows_decoded, details.embeddings_remembered) == (1, 2, 1)


def test_a_study_that_cannot_be_read_does_not_stop_the_next(weights):
    def broken() -> PetVolume:
        raise ValueError("slice_0003.dcm is truncated")

    ahead = EncodeAhead(weights, budget_s=60)
    ahead.open("broken", broken)
    assert "slice_0003.dcm" in wait_for(ahead, "broken")["state"]
    ahead.open("block", lambda: PetVolume(hot_block(), AFFINE))
    assert wait_for(ahead, "block")["state"] == "done"


def test_the_study_opened_last_goes_first_and_each_only_once(weights):
    order, started, go = [], threading.Event(), threading.Event()

    def reader(name: str):
        def read() -> PetVolume:
            order.append(name)
            started.set()
            go.wait(30)
            return PetVolume(np.ones((8, 8, 8), np.float32) * (1 + len(order)), AFFINE)

        return read

    ahead = EncodeAhead(weights, budget_s=60)
    ahead.open("first", reader("first"))
    assert started.wait(30)
    for name in ("second", "third", "second"):
        ahead.open(name, reader(name))
    go.set()
    for name in ("first", "second", "third"):
        wait_for(ahead, name)
    assert order[:3] == ["first", "third", "second"]
    ahead.open("third", reader("third"))
    assert wait_for(ahead, "third")["state"] == "done"
    assert order.count("third") == 1


def test_a_budget_of_zero_switches_it_off(weights):
    ahead = EncodeAhead(weights, budget_s=0)
    ahead.open("block", lambda: pytest.fail("read"))
    assert ahead.progress() == {}


def test_no_more_than_some_studies_wait_and_one_that_was_dropped_is_begun_when_it_is_opened_again(weights):
    started, go = threading.Event(), threading.Event()

    def holds() -> PetVolume:
        started.set()
        go.wait(60)
        return PetVolume(hot_block(), AFFINE)

    ahead = EncodeAhead(weights, budget_s=60)
    ahead.open("first", holds)
    assert started.wait(60)
    names = [f"study_{number}" for number in range(WAITING + 2)]
    for name in names:
        ahead.open(name, lambda: PetVolume(hot_block(), AFFINE))
    assert [ahead.progress()[name]["state"] for name in names] == ["dropped"] * 2 + ["waiting"] * WAITING
    ahead.open(names[0], lambda: PetVolume(hot_block(), AFFINE))
    assert ahead.progress()[names[0]]["state"] == "waiting"
    go.set()
    assert wait_for(ahead, names[0])["state"] == "done"
