"""Seconds of a click through the segmenter, and how they grow with the volume and with the clicks made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np
import torch
from benchmarks.encoder import random_network
from benchmarks.results import comparison, machine_line, report_lines, write_json
from benchmarks.timing import machine, time_side_by_side
from benchmarks.work import MATMUL, gigaflop, matmul_case, shares_of_peak

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter, keep_freed_memory
from seganypet.pet import PetVolume

VOXEL_MM = 3.0
SLICES = (100, 200, 400)  # of a volume with 200×200 voxels a slice; the last is a whole body
CLICKS_MADE = (1, 5, 20)


def click(
    networks: str | Sequence[str] = ("compact", "vit_b"),
    rounds: int = 10,
    device: str = "cpu",
    threads: int = 0,
    slices: Sequence[int] = SLICES,
    side: int = 200,
    json: str = "",
    compare: str = "",
) -> None:
    """Times first and further clicks, encoder and decoder alone, side by side with a matrix product.

    A first click resamples the volume, encodes a window and decodes; a further one decodes. Targets are kept to one
    window, so that the cost does not depend on what the (random) weights find.

    Args:
        networks: "compact", "vit_b" or both, with random weights.
        rounds: rounds in which every case is run once, after one that is not counted.
        device: "cpu" or "cuda".
        threads: CPU threads; 0 for as many as torch takes.
        slices: numbers of slices of the volumes; the middle one is used for what does not grow with the volume.
        side: voxels along the other two axes of the volumes, of 3 mm.
        json: file to write the figures to.
        compare: file of an earlier run to set them beside.
    """
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    where = torch.device(device)
    names = [networks] if isinstance(networks, str) else list(networks)
    volumes = [body((side, side, length)) for length in slices]
    cases: dict[str, Callable[[], object]] = {MATMUL: matmul_case(where)}
    for name in names:
        cases |= network_cases(name, volumes, where)
    facts: dict[str, Any] = {"benchmark": "click", "networks": names, "machine": machine(where)}
    timings = time_side_by_side(cases, rounds=rounds, device=where)
    alone = [name for name in cases if name == MATMUL or " alone" in name]
    facts["gigaflop"] = {name: gigaflop(cases[name]) for name in alone}
    facts["share_of_matmul_peak"] = shares_of_peak(facts["gigaflop"], timings)
    print(machine_line(facts))
    print(*report_lines(timings, facts["gigaflop"], facts["share_of_matmul_peak"]), sep="\n")
    if json:
        write_json(json, facts, timings)
    if compare:
        print(*comparison(compare, facts, timings), sep="\n")


def network_cases(name: str, volumes: Sequence[PetVolume], device: torch.device) -> dict[str, Callable[[], object]]:
    """What is timed of one network."""
    net = random_network(name).to(device)
    forgetful, segmenter = (ClickSegmenter(net, max_windows=1) for _ in range(2))
    encoder = segmenter.encoder
    size, side = encoder.net.window_size, encoder.net.window_size // encoder.net.logit_stride
    generator = torch.Generator().manual_seed(0)
    window = torch.rand(1, 1, size, size, size, generator=generator).to(device)
    points = torch.rand(1, 3, 3, generator=generator) * size
    labels, mask = torch.tensor([[1.0, 1.0, 0.0]]), torch.zeros(1, 1, side, side, side)
    with torch.inference_mode():
        embedding = encoder.net.encode(window)

    def encode() -> object:
        with torch.inference_mode():
            return encoder.net.encode(window)

    cases: dict[str, Callable[[], object]] = {
        f"{name}: encoder alone": encode,
        f"{name}: decoder alone, third click": lambda: encoder.decode(embedding, points, labels, mask),
    }
    for volume in volumes:
        cases[f"{name}: first click, {_shape(volume)}"] = first_click(forgetful, volume)
        cases[f"{name}: next click, {_shape(volume)}"] = further_click(segmenter, volume, 1)
    middle = volumes[len(volumes) // 2]
    for made in CLICKS_MADE[1:]:
        cases[f"{name}: click after {made}, {_shape(middle)}"] = further_click(segmenter, middle, made)
    return cases


def first_click(segmenter: ClickSegmenter, volume: PetVolume) -> Callable[[], object]:
    """A click on a volume that the segmenter has forgotten."""
    centre = tuple(n / 2 for n in volume.shape)

    def run() -> object:
        segmenter.clear()
        return segmenter.segment(volume, [Click(centre)])

    return run


def further_click(segmenter: ClickSegmenter, volume: PetVolume, made: int) -> Callable[[], object]:
    """One click more on a window that is known, after `made` clicks that are answered already; never the same twice."""
    i, j, k = (n / 2 for n in volume.shape)
    before = [Click((i + 0.1 * number, j, k), positive=number % 3 != 2) for number in range(made)]
    segmenter.segment(volume, before)
    numbers = count(1)
    return lambda: segmenter.segment(volume, [*before, Click((i, j + 0.001 * next(numbers), k), positive=False)])


def body(shape: tuple[int, int, int]) -> PetVolume:
    """An ellipsoid of SUV 1 with noise, and hot balls along its axis."""
    i, j, k = np.ogrid[tuple(slice(-1, 1, complex(n)) for n in shape)]
    inside = (i**2 + j**2 + (0.9 * k) ** 2) < 0.8
    noise = np.random.default_rng(0).gamma(20.0, 0.05, shape)
    balls = ((i**2 + j**2) < 0.02) & (np.cos(12 * k) > 0.6)
    voxels = (inside * noise * (1 + 5 * balls)).astype(np.float32)
    return PetVolume(voxels, np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0]))


def _shape(volume: PetVolume) -> str:
    return "×".join(str(n) for n in volume.shape)
