"""The order of an epoch's windows: both label qualities in a stated ratio, alike on every process."""

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
    is drawn several times, of the other some wait for a later epoch.

    Args:
        dataset: the training windows; says which epoch it is.
        seed: of the run.
        high_share: how many of the draws are of high quality, 0 to 1; ½ is 1:1. None draws windows as they come. Where
            only one quality is there, all draws are of that.
        rank: which process this is.
        world_size: how many there are.

    Raises:
        ValueError: a share outside 0 to 1, or a rank that there is none of.
    """

    def __init__(
        self,
        dataset: WindowDataset,
        *,
        seed: int = 0,
        high_share: float | None = 0.5,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if high_share is not None and not 0 <= high_share <= 1:
            raise ValueError(f"high_share must lie in 0 to 1, got {high_share}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must lie in 0 to {world_size - 1}, got {rank}")
        self.dataset = dataset
        self.seed = seed
        self.high_share = high_share
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def order(self) -> np.ndarray:
        """[len(self)] indices of windows."""
        high = self.dataset.high_quality
        pools = [np.flatnonzero(~high), np.flatnonzero(high)]
        if self.high_share is None or len(pools[0]) == 0 or len(pools[1]) == 0:
            pools, is_high = [np.arange(len(high))], np.zeros(len(self), int)
        else:
            is_high = quality_pattern(len(self), self.high_share)
        order = np.empty(len(self), int)
        for quality, pool in enumerate(pools):
            places = np.flatnonzero(is_high == quality)
            queue = self._queue(pool, len(places) * self.world_size, quality)
            order[places] = queue[self.rank :: self.world_size]
        return order

    def _queue(self, pool: np.ndarray, length: int, quality: int) -> np.ndarray:
        """`length` draws from a pool, each round a new permutation of all of it."""
        rounds = -(-length // len(pool))
        parts = [
            np.random.default_rng([self.seed, self.dataset.epoch, quality, number]).permutation(pool)
            for number in range(rounds)
        ]
        return np.concatenate([*parts, pool[:0]])[:length]


def quality_pattern(length: int, high_share: float) -> np.ndarray:
    """[length] 1 for high and 0 for low, spread evenly and beginning high: ½ gives 1, 0, 1, 0, …"""
    filled = np.ceil(np.arange(length + 1) * high_share - 1e-9).astype(int)
    return np.diff(filled)
