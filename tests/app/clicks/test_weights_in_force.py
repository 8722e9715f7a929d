"""Weights are published by putting a file in place; a broken one never stops a reader."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from lib.clicks import weights as weights_module
from lib.clicks.weights import Weights
from running_server import save_everything_network
from small_studies import AFFINE, HOT_CENTRE, hot_block

from seganypet.clicks import Click
from seganypet.pet import PetVolume


def in_force(weights: Weights):
    """The segmenter once a file that changed has been loaded, or has failed to."""
    weights.segmenter()
    if weights._loading is not None:
        weights._loading.join(60)
    return weights.segmenter()


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch):
    monkeypatch.setattr(weights_module, "LOOK_EVERY_S", 0.0)


def test_a_new_file_takes_over_and_its_volume_is_encoded_again(tmp_path: Path):
    path = save_everything_network(tmp_path / "model.pt", seed=0)
    weights = Weights(path, torch.device("cpu"), cache_bytes=10**8)
    volume, clicks = PetVolume(hot_block(), AFFINE), [Click(tuple(HOT_CENTRE))]
    first = weights.segmenter()
    assert first.segment_with_details(volume, clicks)[1].windows_encoded == 2  # a fine and a coarse one
    assert weights.segmenter() is first
    save_everything_network(path, seed=1)
    second = in_force(weights)
    assert second.weights_hash != first.weights_hash
    assert second.segment_with_details(volume, clicks)[1].windows_encoded == 2
    assert weights.info()["hash"] == second.weights_hash


def test_a_broken_or_vanished_file_leaves_the_old_weights_in_force(tmp_path: Path):
    path = save_everything_network(tmp_path / "model.pt")
    whole = path.read_bytes()
    weights = Weights(path, torch.device("cpu"), cache_bytes=10**8)
    before = weights.segmenter()
    path.write_bytes(whole[: len(whole) // 2])
    assert in_force(weights) is before
    assert "does not load" in weights.info()["problem"]
    path.unlink()
    assert weights.segmenter() is before
    assert "cannot be read" in weights.info()["problem"]
    path.write_bytes(whole)
    os.utime(path, ns=(1, 1))
    after = in_force(weights)
    assert after.weights_hash == before.weights_hash
    assert weights.info()["problem"] == ""


def test_what_training_publishes_takes_over_from_the_file_given(tmp_path: Path):
    given, trained = save_everything_network(tmp_path / "given.pt", seed=0), tmp_path / "trained" / "model.pt"
    weights = Weights(given, torch.device("cpu"), cache_bytes=10**8, trained=trained)
    before = weights.segmenter()
    assert weights.info()["file"] == "given.pt"
    save_everything_network(trained, seed=1)
    after = in_force(weights)
    assert after.weights_hash != before.weights_hash
    assert weights.path == trained
    save_everything_network(given, seed=2)
    assert in_force(weights) is after


def test_a_server_starts_from_what_training_published_unless_weights_are_given(tmp_path: Path, caplog):
    given, trained = (save_everything_network(tmp_path / f"{seed}.pt", seed=seed) for seed in (0, 1))
    options = {"device": torch.device("cpu"), "cache_bytes": 10**8, "trained": trained}
    assert Weights(given, **options).path == trained
    said = Weights(given, **options, start_trained=False)
    assert said.path == given
    assert "--conf weights is given" in caplog.text
    save_everything_network(trained, seed=3)  # published while it serves
    in_force(said)
    assert said.path == trained
    trained.write_bytes(b"half")
    broken = Weights(given, **options)
    assert broken.path == given
    assert "does not load" in broken.info()["problem"]


def test_what_was_published_while_nobody_clicked_is_in_force_where_somebody_waits_for_it(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(weights_module, "LOOK_EVERY_S", 1e6)
    given, trained = save_everything_network(tmp_path / "given.pt", seed=0), tmp_path / "trained" / "model.pt"
    weights = Weights(given, torch.device("cpu"), cache_bytes=10**8, trained=trained)
    save_everything_network(trained, seed=1)
    assert weights.path == given
    assert weights.take_up() == trained
    trained.unlink()  # taken back
    assert weights.take_up() == given
