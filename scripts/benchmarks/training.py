"""Samples a second of a training step, beside a step written as the released code takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from benchmarks.encoder import random_network
from benchmarks.released_loop import CLICKS, released_loss
from benchmarks.results import comparison, machine_line, report_lines, write_json
from benchmarks.timing import machine, time_side_by_side
from benchmarks.work import MATMUL, matmul_case
from torch import Tensor

from seganypet.training import BalancedClickLoss, ClickRollout, DiceCEClickLoss, parameter_groups

RELEASED = "vit_b: released loop, 11 clicks"
SAME = "vit_b: paper_iccv2025.json's rollout, 11 clicks"
SAME_BFLOAT16 = "vit_b: the same in bfloat16"
COMPACT = "compact: train.json's finetune step"
COMPACT_TARGETS = 2  # of a window, as train.json has it


def training(
    rounds: int = 2, device: str = "cpu", threads: int = 0, released: bool = True, json: str = "", compare: str = ""
) -> None:
    """Times one step (forward, backward, AdamW) on one window, in one run.

    Args:
        rounds: rounds in which every case is run once, after one that is not counted.
        device: "cpu" or "cuda".
        threads: CPU threads; 0 for as many as torch takes.
        released: whether to run vit_b at all; its steps take up to a minute each on two cores.
        json: file to write the figures to.
        compare: file of an earlier run to set them beside.
    """
    if threads:
        torch.set_num_threads(threads)
    where = torch.device(device)
    samples = {COMPACT: COMPACT_TARGETS}
    cases: dict[str, Callable[[], object]] = {COMPACT: compact_case(where), MATMUL: matmul_case(where)}
    if released:
        samples |= dict.fromkeys((RELEASED, SAME, SAME_BFLOAT16), 1)
        cases = vit_b_cases(where) | cases
    facts: dict[str, Any] = {"benchmark": "training", "machine": machine(where)}
    timings = time_side_by_side(cases, rounds=rounds, device=where)
    facts["samples_per_second"] = {name: count / timings[name].median for name, count in samples.items()}
    print(machine_line(facts))
    print(*report_lines(timings, {}, {}), sep="\n")
    for name, rate in facts["samples_per_second"].items():
        ratio = f", {rate / facts['samples_per_second'][RELEASED]:.1f} times the released loop" if released else ""
        print(f"{name:52} {rate:7.3f} samples/s" + (ratio if name in (SAME, SAME_BFLOAT16) else ""))
    if json:
        write_json(json, facts, timings)
    if compare:
        print(*comparison(compare, facts, timings), sep="\n")


def vit_b_cases(device: torch.device) -> dict[str, Callable[[], object]]:
    """Steps of one network and one optimiser: as the released loop takes them, and ours with as many clicks."""
    net = random_network("vit_b").to(device).train()
    groups = parameter_groups(net, 8e-5, 8e-4)
    optimizer = torch.optim.AdamW(groups, weight_decay=0.1)
    image, target, seeds = window(net.window_size, 1, device)
    random = np.random.default_rng(0)

    def ours(precision: str) -> Callable[[], object]:
        rollout = ClickRollout(
            net, clicks=CLICKS, random_count=False, gradient_share=1.0, mask_only_share=0.0, precision=precision
        )
        loss = DiceCEClickLoss()
        return lambda: step(lambda: loss(rollout(image, target, seeds), target), optimizer)

    return {
        RELEASED: lambda: step(lambda: released_loss(net, image, target, random), optimizer),
        SAME: ours("float32"),
        SAME_BFLOAT16: ours("bfloat16"),
    }


def compact_case(device: torch.device) -> Callable[[], object]:
    """A step of `compact` at the length that train.json's steps have in the mean: three clicks of at most five."""
    net = random_network("compact").to(device).train()
    optimizer = torch.optim.AdamW(parameter_groups(net, 1e-3), weight_decay=0.02)
    image, target, seeds = window(net.window_size, COMPACT_TARGETS, device)
    rollout = ClickRollout(net, clicks=3, random_count=False, mask_only_share=0.0, precision="auto")
    loss = BalancedClickLoss()
    return lambda: step(lambda: loss(rollout(image, target, seeds), target), optimizer)


def step(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> float:
    """Forward, backward and an update; returns the loss."""
    value = loss()
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    optimizer.step()
    return float(value.detach())


def window(size: int, targets: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """A window of noise with balls as targets: image [1, 1, S, S, S], targets [1, T, S, S, S], a click seed [1]."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 1, size, size, size, generator=generator)
    places = torch.arange(size) - size / 2
    distance = (places[:, None, None] ** 2 + places[:, None] ** 2 + places**2).sqrt()
    balls = torch.stack([distance < size / (5 + n) for n in range(targets)])[None]
    return image.to(device), balls.to(device), torch.tensor([0])
