"""A run of the tiny network as train.json composes one; also a script that torchrun and kill -9 are tried on.

python tiny_run.py FOLDER '{"epochs": 3}'
"""

import json
import os
import sys
import time
from pathlib import Path

import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, ValidationHandler
from monai.optimizers import WarmupCosineSchedule
from tiny_network import TinyNetwork, make_study
from torch.utils.data import DataLoader

from seganypet.data import WindowDataset
from seganypet.training import (
    BalancedClickLoss,
    ClickRollout,
    ConsistencyRamp,
    DiceAtClicks,
    GradientClipping,
    MovingAverage,
    NetworkPublisher,
    Rectification,
    RunCheckpoint,
    Seeding,
    StopOnBadLoss,
    StrategyClock,
    WindowSampler,
    call_network,
    end_process_group,
    make_strategy,
    parameter_groups,
    prepare_rollout,
)
from seganypet.training.stepping import iterations_in_step

SEED = 3


def tiny_trainer(
    folder: Path,
    *,
    epochs: int = 3,
    batch_size: int = 4,
    accumulation_steps: int = 1,
    windows_per_study: int = 4,
    resume: bool = False,
    rank: int = 0,
    world_size: int = 1,
    device: str = "cpu",
    precision: str = "float32",
    handlers: tuple = (),
) -> SupervisedTrainer:
    """A trainer ready to run. Its network is the rollout, wrapped by DDP where there are several processes."""
    torch.manual_seed(SEED)
    network, average = TinyNetwork().to(device), TinyNetwork().to(device)
    studies = [make_study(0, True), make_study(1, False)]
    windows = WindowDataset(
        studies,
        network.settings,
        rungs=network.rungs,
        targets_per_window=2,
        windows_per_study=windows_per_study,
        seed=SEED,
    )
    sampler = WindowSampler(windows, seed=SEED, rank=rank, world_size=world_size)
    loader = DataLoader(windows, batch_size=batch_size, sampler=sampler)
    steps = epochs * len(loader)
    rollout = ClickRollout(network, clicks=3, gradient_share=1.0, precision=precision, seed=SEED)
    strategy = make_strategy("cpcl", BalancedClickLoss(), ConsistencyRamp(steps), Rectification())
    optimizer = torch.optim.AdamW(parameter_groups(network, 0.01, 0.005), lr=0.01)
    schedule = WarmupCosineSchedule(optimizer, warmup_steps=2, t_total=steps)
    held_out = WindowDataset(
        studies[:1], network.settings, rungs=network.rungs, targets_per_window=1, augment=False, seed=SEED + 1
    )
    evaluator = SupervisedEvaluator(
        device=torch.device(device),
        val_data_loader=DataLoader(held_out, sampler=range(rank, len(held_out), world_size)),
        network=ClickRollout(average, clicks=3),
        prepare_batch=prepare_rollout,
        inferer=call_network,
        decollate=False,
        key_val_metric={"dice": DiceAtClicks((1, 3))},
        val_handlers=[NetworkPublisher(average, str(folder / "model.pt"))] if rank == 0 else None,
    )
    parts = {"network": network, "average": average, "optimizer": optimizer, "schedule": schedule, "strategy": strategy}
    trainer = SupervisedTrainer(
        device=torch.device(device),
        max_epochs=epochs,
        train_data_loader=loader,
        network=rollout if world_size == 1 else torch.nn.parallel.DistributedDataParallel(rollout),
        optimizer=optimizer,
        loss_function=strategy,
        prepare_batch=prepare_rollout,
        inferer=call_network,
        decollate=False,
        accumulation_steps=accumulation_steps,
        amp=precision == "float16",
        amp_kwargs={"dtype": torch.float16},
        train_handlers=[
            Seeding(windows, rollout),
            StopOnBadLoss(),
            GradientClipping(network, 1.0),
            LrScheduleHandler(schedule, epoch_level=False, print_lr=False),
            MovingAverage(network, average, 0.9),
            StrategyClock(strategy),
            ValidationHandler(1, evaluator),
            RunCheckpoint(folder, parts, validator=evaluator, resume=resume, writes=rank == 0),
            *handlers,
        ],
    )
    trainer.evaluator = evaluator
    return trainer


class KeepGradients:
    """Collects the gradients that each optimiser step takes, after clipping."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network
        self.steps: list[dict[str, torch.Tensor]] = []

    def attach(self, engine: SupervisedTrainer) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        if iterations_in_step(engine):
            named = self.network.named_parameters()
            self.steps.append({name: value.grad.clone() for name, value in named if value.grad is not None})


def main(folder: str, options: str) -> None:
    """Runs with options as JSON; says where it is, and leaves each process's gradients beside the checkpoint."""
    torch.set_num_threads(1)
    settings = json.loads(options)
    pause_s = settings.pop("pause_s", 0)
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if world_size > 1:
        torch.distributed.init_process_group("gloo")
    trainer = tiny_trainer(Path(folder), rank=rank, world_size=world_size, **settings)
    gradients = KeepGradients(getattr(trainer.network, "module", trainer.network).network)
    gradients.attach(trainer)

    @trainer.on(Events.ITERATION_COMPLETED)
    def say(engine):
        print("iteration", engine.state.iteration, flush=True)
        time.sleep(pause_s)

    trainer.run()
    torch.save(gradients.steps, Path(folder) / f"gradients_{rank}.pt")
    if world_size > 1:
        end_process_group(trainer.network)


if __name__ == "__main__":
    main(*sys.argv[1:])
