"""Checkpoints of a run, whole or not at all, and going on from one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer

from seganypet.whole_file import whole_file

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
BEST = ("best_metric", "best_metric_epoch")


class Stateful(Protocol):
    """A network, an optimiser, a schedule, a strategy."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Any) -> Any: ...


class RunCheckpoint:
    """Writes `checkpoint.pt` after every epoch and goes on from it.

    It holds all that the next epoch depends on: `parts`, the trainer's place, the gradient scaler and the best metric.
    Randomness is not stored: it follows from (seed, epoch, sample). To be attached after validation, so that an epoch's
    validation is part of what the checkpoint says is done.

    Args:
        folder: of the run.
        parts: what to save, by name.
        validator: the evaluator whose best metric to remember.
        resume: go on from the checkpoint in `folder` when training starts.
        writes: whether this process writes; one of them does.

    Raises:
        FileExistsError: as it is attached, where another run's checkpoint lies in the folder and is not gone on from.
    """

    def __init__(
        self,
        folder: str | Path,
        parts: Mapping[str, Stateful],
        *,
        validator: Engine | None = None,
        resume: bool = False,
        writes: bool = True,
    ) -> None:
        self.path = Path(folder) / CHECKPOINT
        self.parts = parts
        self.validator = validator
        self.resume = resume
        self.writes = writes

    def attach(self, engine: SupervisedTrainer) -> None:
        if self.resume:
            engine.add_event_handler(Events.STARTED, self.restore)
        elif self.writes and self.path.exists():
            raise FileExistsError(
                f"{self.path} is there: go on with it by --resume {self.path.parent}, or take another --run_dir"
            )
        if self.writes:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: SupervisedTrainer) -> None:
        """Replaces the checkpoint by one of now."""
        state = engine.state
        content: dict[str, Any] = {name: part.state_dict() for name, part in self.parts.items()}
        content["trainer"] = {"epoch": state.epoch, "iteration": state.iteration, "epoch_length": state.epoch_length}
        content["scaler"] = None if engine.scaler is None else engine.scaler.state_dict()
        if self.validator is not None:
            content["best"] = {name: getattr(self.validator.state, name) for name in BEST}
        save_whole(content, self.path)

    def restore(self, engine: SupervisedTrainer) -> None:
        """Takes everything up from the checkpoint.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it belongs to a run with epochs of another length or with other parts.
        """
        if not self.path.is_file():
            raise FileNotFoundError(f"nothing to resume: no {self.path}")
        content = torch.load(self.path, map_location="cpu", weights_only=True)
        missing = sorted(set(self.parts) - set(content))
        if missing:
            raise ValueError(f"{self.path} does not hold {', '.join(missing)}")
        place = content["trainer"]
        if place["epoch_length"] != engine.state.epoch_length:
            raise ValueError(
                f"{self.path} is of a run with {place['epoch_length']} iterations an epoch, this one has "
                f"{engine.state.epoch_length}: resume with the same data, batch and processes"
            )
        for name, part in self.parts.items():
            part.load_state_dict(content[name])
        engine.state.epoch, engine.state.iteration = place["epoch"], place["iteration"]
        if engine.scaler is not None and content["scaler"] is not None:
            engine.scaler.load_state_dict(content["scaler"])
        if self.validator is not None:
            for name in BEST:
                setattr(self.validator.state, name, content["best"][name])
        logger.info("going on after epoch %d, iteration %d of %s", place["epoch"], place["iteration"], self.path)


def save_whole(content: Any, path: str | Path) -> None:
    """Writes a torch file beside its place and moves it there, so that a kill or a full disk leaves the old one.

    Raises:
        OSError: it could not be written; names the file and what stands there.
    """
    path = Path(path)
    try:
        with whole_file(path) as draft, draft.open("wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as a RuntimeError
        left = "the checkpoint before it is whole" if path.exists() else "there is none before it"
        raise OSError(f"{path} could not be written ({error}); {left}") from error
