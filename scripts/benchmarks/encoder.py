"""Seconds of the image encoder and of a decode, and what the encoder gains by not computing its padding."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from benchmarks.timing import Timing, machine, time_side_by_side, write_json
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from seganypet.networks import build_network

PADDED_CODE = Path(__file__).resolve().parents[2] / "tests" / "networks"  # the plain version that the tests hold to
MATMUL_SIDE = 2048
FLOAT32, PADDED, MATMUL = "encode, float32", "encode, float32, padded", f"matrix product, {MATMUL_SIDE}³"


@torch.inference_mode()
def encoder(network: str = "vit_b", rounds: int = 5, device: str = "cpu", threads: int = 0, json: str = "") -> None:
    """Times the encoder in float32 and bfloat16, a decode, and for vit_b the padded encoder, all in one run.

    Args:
        network: "vit_b" or "compact", with random weights: speed does not depend on them.
        rounds: rounds in which every case is run; the padded encoder once a round, the others three times.
        device: "cpu" or "cuda".
        threads: CPU threads; 0 for as many as torch takes.
        json: file to write the figures to.
    """
    if threads:
        torch.set_num_threads(threads)
    where = torch.device(device)
    net = _random_network(network).to(where)
    size, side = net.window_size, net.window_size // net.logit_stride
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 1, size, size, size, generator=generator).to(where)
    points = (torch.rand(1, 3, 3, generator=generator) * size).to(where)
    labels = torch.tensor([[1, 1, 0]], device=where)
    mask = torch.zeros(1, 1, side, side, side, device=where)
    embedding = net.encode(image)
    matrix = torch.randn(MATMUL_SIDE, MATMUL_SIDE, device=where)

    def in_bfloat16() -> Tensor:
        with torch.autocast(where.type, torch.bfloat16):
            return net.encode(image)

    cases: dict[str, Callable[[], Tensor]] = {
        FLOAT32: lambda: net.encode(image),
        "encode, bfloat16 autocast": in_bfloat16,
        "decode a third click, float32": lambda: net.decode(embedding, points, labels, mask),
        MATMUL: lambda: matrix @ matrix,
    }
    repeats = dict.fromkeys(cases, 3)
    if network == "vit_b":
        sys.path.insert(0, str(PADDED_CODE))
        from padded_encoder import padded_encode

        cases[PADDED] = lambda: padded_encode(net.image_encoder, image)

    facts: dict[str, Any] = {"benchmark": "encoder", "network": network, "machine": machine(where)}
    timings = time_side_by_side(cases, rounds=rounds, device=where, repeats=repeats)
    work = {name: _gigaflop(case) for name, case in cases.items() if "bfloat16" not in name}
    rates = {name: work[name] / timings[name].median for name in work}
    facts["gigaflop"] = work
    facts["share_of_matmul_peak"] = {name: rate / rates[MATMUL] for name, rate in rates.items()}
    if network == "vit_b":
        facts["times_faster_than_padded"] = timings[PADDED].median / timings[FLOAT32].median
        facts["largest_difference"] = float((embedding - cases[PADDED]()).abs().max())
    _report(facts, timings)
    if json:
        write_json(json, facts, timings)


def _report(facts: dict[str, Any], timings: dict[str, Timing]) -> None:
    print(", ".join(f"{name} {value}" for name, value in facts["machine"].items()))
    for name, timing in timings.items():
        line = f"{name:32} {timing}"
        if name in facts["gigaflop"]:
            share = facts["share_of_matmul_peak"][name]
            line += f"   {facts['gigaflop'][name]:.1f} GFLOP, {share:.0%} of the matrix product's rate"
        print(line)
    if "times_faster_than_padded" in facts:
        print(f"{FLOAT32}: {facts['times_faster_than_padded']:.1f} times faster than padded", end="")
        print(f", largest difference {facts['largest_difference']:.1e}")


def _random_network(name: str) -> nn.Module:
    """A network none of whose parameters is zero, so that a difference of results shows."""
    torch.manual_seed(0)
    net = build_network(name).eval()
    for parameter in net.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.02)
    return net


def _gigaflop(case: Callable[[], Tensor]) -> float:
    with FlopCounterMode(display=False) as counter:
        case()
    return counter.get_total_flops() / 1e9
