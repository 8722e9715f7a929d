"""The order of an epoch's windows: rungs batch by batch, label qualities in a stated ratio, alike on every process."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from seganypet.data.windows import WindowDataset


class WindowSampler(Sampler[int]):
    """The windows of an epoch, this process's share; follows from (seed, epoch) alone.

    Every process gets as many windows in the same sequence of qualities, so that each batch holds the same mix
    everywhere. Where its high-quality count per batch is whole, n processes with batches of b see together what one
    process with batches of n·b sees. An epoch has as many draws as there are windows; of the rarer quality each window
    is drawn several times, of the other some wait for a later epoch. Each batch is of one rung, since its windows have
    one size; the rungs take turns by their share of the windows.

    Args:
        dataset: the training windows; says which epoch it is.
        seed: of the run.
        high_share: how many of the draws are of high quality, 0 to 1; ½ is 1:1. Where only one quality is there, all
            draws are of that. None draws each window once, as validation has to; a rung's last batch is filled up.
        experts_needed: whether nothing is learned without windows of high quality, as by `consistency` and `cpcl`.
        batch_size: windows of a batch.
        rank: which process this is.
        world_size: how many there are.

    Raises:
        ValueError: a share outside 0 to 1, a rank that there is none of, or no window of high quality where one is
            needed.
    """

    def __init__(
        self,
        dataset: WindowDataset,
        *,
        seed: int = 0,
        high_share: float | None = 0.5,
        experts_needed: bool = False,
        batch_size: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if high_share is not None and not 0 <= high_share <= 1:
            raise ValueError(f"high_share must lie in 0 to 1, got {high_share}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must lie in 0 to {world_size - 1}, got {rank}")
        if experts_needed and not np.any(dataset.high_quality):
            raise ValueError(
                "no label of the training data is an expert's (quality 'high'): strategies consistency and cpcl learn "
                "from those, and lose what the weights know without; take strategy finetune"
            )
        self.dataset = dataset
        self.seed = seed
        self.high_share = high_share
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        if self.high_share is None:
            return len(self.order())
        return -(-len(self.dataset) // self.world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def order(self) -> np.ndarray:
        """[len(self)] indices of windows."""
        high, rung_of = self.dataset.high_quality, self.dataset.rung_of
        if self.high_share is None:
            together = self.batch_size * self.world_size
            pools = [np.flatnonzero(rung_of == rung) for rung in np.unique(rung_of)]
            queues = [self._queue(pool, -(-len(pool) // together) * together, n, 0) for n, pool in enumerate(pools)]
            return np.concatenate([queue[self.rank :: self.world_size] for queue in queues])
        shares = np.bincount(rung_of) / len(rung_of)
        batches = -(-len(self) // self.batch_size)
        rung_at = np.repeat(turns(shares, batches), self.batch_size)[: len(self)]
        order = np.empty(len(self), int)
        for rung in np.flatnonzero(shares):
            places = np.flatnonzero(rung_at == rung)
            pools = [np.flatnonzero((rung_of == rung) & (high == quality)) for quality in (False, True)]
            if len(pools[0]) == 0 or len(pools[1]) == 0:
                pools, is_high = [np.flatnonzero(rung_of == rung)], np.zeros(len(places), int)
            else:
                is_high = quality_pattern(len(places), self.high_share)
            for quality, pool in enumerate(pools):
                here = places[is_high == quality]
                queue = self._queue(pool, len(here) * self.world_size, int(rung), quality)
                order[here] = queue[self.rank :: self.world_size]
        return order

    def _queue(self, pool: np.ndarray, length: int, rung: int, quality: int) -> np.ndarray:
        """`length` draws from a pool, each round a new permutation of all of it."""
        rounds = -(-length // len(pool))
        parts = [
            np.random.default_rng([self.seed, self.dataset.epoch, rung, quality, number]).permutation(pool)
            for number in range(rounds)
        ]
        return np.concatenate([*parts, pool[:0]])[:length]


def turns(shares: np.ndarray, length: int) -> np.ndarray:
    """[length] whose turn it is, each as often as its share of 1 says, spread evenly."""
    given, result = np.zeros(len(shares)), np.empty(length, int)
    for n in range(length):
        result[n] = int(np.argmax(shares * (n + 1) - given))
        given[result[n]] += 1
    return result


def quality_pattern(length: int, high_share: float) -> np.ndarray:
    """[length] 1 for high and 0 for low, spread evenly and beginning high: ½ gives 1, 0, 1, 0, …"""
    filled = np.ceil(np.arange(length + 1) * high_share - 1e-9).astype(int)
    return np.diff(filled)
