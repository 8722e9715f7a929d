from collections import Counter

import numpy as np
import pytest

from seganypet.training.sampling import WindowSampler, quality_pattern, turns


class Windows:
    """A window dataset as far as a sampler knows it."""

    def __init__(self, high: list[int], epoch: int = 1, rungs: list[int] | None = None) -> None:
        self.high_quality = np.array(high, bool)
        self.rung_of = np.array(rungs if rungs is not None else [0] * len(high))
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.high_quality)


def order(high: list[int], epoch: int = 1, **options) -> list[int]:
    return list(WindowSampler(Windows(high, epoch), **options))


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.5, [1, 0, 1, 0, 1, 0]),
        (0.25, [1, 0, 0, 0, 1, 0]),
        (0.0, [0] * 6),
        (1.0, [1] * 6),
        (2 / 3, [1, 1, 0, 1, 1, 0]),
    ],
)
def test_the_ratio_is_spread_evenly(share, expected):
    assert quality_pattern(6, share).tolist() == expected


def test_one_to_one_by_default():
    high = [1, 1, 0, 0, 0, 0, 0, 0]
    drawn = order(high)
    assert len(drawn) == 8
    assert [high[index] for index in drawn] == [1, 0] * 4
    assert Counter(index for index in drawn if high[index]) == {0: 2, 1: 2}  # the rarer quality comes again
    assert max(Counter(index for index in drawn if not high[index]).values()) == 1


@pytest.mark.parametrize("high", [[1] * 5, [0] * 5])
def test_one_quality_alone_is_drawn_as_it_is(high):
    assert sorted(order(high)) == [0, 1, 2, 3, 4]


def test_without_a_ratio_every_window_comes_once():
    assert sorted(order([1, 0, 0, 0, 0], high_share=None)) == [0, 1, 2, 3, 4]


def test_an_order_follows_from_seed_and_epoch():
    high = [1, 0] * 8
    assert order(high, epoch=3, seed=5) == order(high, epoch=3, seed=5)
    assert order(high, epoch=3, seed=5) != order(high, epoch=4, seed=5)
    assert order(high, epoch=3, seed=5) != order(high, epoch=3, seed=6)


@pytest.mark.parametrize("high", [[1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1], [1] * 12])
def test_two_processes_see_what_one_sees(high):
    single = order(high)
    shares = [order(high, rank=rank, world_size=2) for rank in (0, 1)]
    assert [len(share) for share in shares] == [6, 6]
    for batch in range(3):  # of 2 on each process, of 4 on the one
        together = [index for share in shares for index in share[2 * batch : 2 * batch + 2]]
        assert sorted(together) == sorted(single[4 * batch : 4 * batch + 4])
        mixes = [[high[index] for index in share[2 * batch : 2 * batch + 2]] for share in shares]
        assert mixes[0] == mixes[1]


def test_processes_get_as_many_windows_each():
    assert [len(order([1] * 7, rank=rank, world_size=3)) for rank in range(3)] == [3, 3, 3]


def test_wrong_shares_and_ranks_are_named():
    with pytest.raises(ValueError, match=r"0 to 1, got 1\.5"):
        order([1], high_share=1.5)
    with pytest.raises(ValueError, match="0 to 1, got 2"):
        order([1], rank=2, world_size=2)


def test_turns_follow_the_shares():
    assert turns(np.array([0.75, 0.25]), 8).tolist() == [0, 0, 1, 0, 0, 0, 1, 0]
    assert turns(np.array([1.0]), 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("high", [[1] * 12, [1, 0] * 6])
def test_a_batch_is_of_one_rung_and_every_window_comes_once(high):
    rungs = [0] * 8 + [1] * 4
    drawn = list(WindowSampler(Windows(high, rungs=rungs), high_share=None, batch_size=2))
    assert sorted(drawn) == list(range(12))
    of_batch = np.array(rungs)[drawn].reshape(-1, 2)
    assert (of_batch[:, 0] == of_batch[:, 1]).all()
    mixed = list(WindowSampler(Windows(high, rungs=rungs), high_share=0.5, batch_size=2))
    of_batch = np.array(rungs)[mixed].reshape(-1, 2)
    assert (of_batch[:, 0] == of_batch[:, 1]).all()
    if 0 in high:
        assert (np.array(high)[mixed].reshape(-1, 2).sum(1) == 1).all()


@pytest.mark.parametrize("batch", [1, 2, 5, 12])
def test_validation_leaves_no_window_out_whatever_the_batch(batch):
    rungs = [0] * 9 + [1] * 7
    sampler = WindowSampler(Windows([1] * 16, rungs=rungs), high_share=None, batch_size=batch)
    drawn = list(sampler)
    assert len(drawn) == len(sampler)
    assert set(drawn) == set(range(16))
    of_batch = np.array(rungs)[drawn].reshape(-1, batch)
    assert (of_batch == of_batch[:, :1]).all()


def test_a_strategy_that_learns_from_experts_needs_one():
    assert WindowSampler(Windows([1, 0, 0]), experts_needed=True)
    with pytest.raises(ValueError, match="take strategy finetune"):
        WindowSampler(Windows([0, 0, 0]), experts_needed=True)
