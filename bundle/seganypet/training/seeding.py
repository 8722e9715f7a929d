"""Randomness that follows from the place in a run, so that a resumed run draws what an unbroken one would."""

from __future__ import annotations

from ignite.engine import Engine, Events

from seganypet.data.windows import WindowDataset
from seganypet.training.rollout import ClickRollout


class Seeding:
    """Tells the windows which epoch it is and the rollout which iteration.

    Args:
        dataset: the training windows.
        rollout: which plans each iteration from (seed, iteration), alike on every process.
    """

    def __init__(self, dataset: WindowDataset, rollout: ClickRollout) -> None:
        self.dataset = dataset
        self.rollout = rollout

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self.start_epoch)
        engine.add_event_handler(Events.ITERATION_STARTED, self.start_iteration)

    def start_epoch(self, engine: Engine) -> None:
        self.dataset.set_epoch(engine.state.epoch)

    def start_iteration(self, engine: Engine) -> None:
        self.rollout.iteration = engine.state.iteration
