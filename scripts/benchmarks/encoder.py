"""Seconds of the image encoder and of a decode, and what the encoder gains by not computing its padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from benchmarks.results import comparison, machine_line, report_lines, write_json
from benchmarks.timing import machine, time_side_by_side
from benchmarks.work import MATMUL, gigaflop, matmul_case, shares_of_peak
from torch import Tensor, nn

from seganypet.inference import keep_freed_memory
from seganypet.inference.encoder_backend import encoder_backend
from seganypet.networks import build_network
from seganypet.networks.padded_encoder import padded_encode

UNCOUNTED = ("bfloat16", "OpenVINO")  # the same work as in float32, in kernels that no torch counter sees
FLOAT32, PADDED = "encode, float32", "encode, float32, padded"


@torch.inference_mode()
def encoder(
    network: str = "vit_b",
    rounds: int = 5,
    device: str = "cpu",
    threads: int = 0,
    openvino: bool = False,
    json: str = "",
    compare: str = "",
) -> None:
    """Times the encoder in float32 and bfloat16, a decode, and for vit_b the padded encoder, all in one run.

    Args:
        network: "vit_b" or "compact", with random weights: speed does not depend on them.
        rounds: rounds in which every case is run; the padded encoder once a round, the others three times.
        device: "cpu" or "cuda".
        threads: CPU threads; 0 for as many as torch takes.
        openvino: also time the encoder in OpenVINO, float32 (requirements-openvino.txt).
        json: file to write the figures to.
        compare: file of an earlier run to set them beside.
    """
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    where = torch.device(device)
    net = random_network(network).to(where)
    size, side = net.window_size, net.window_size // net.logit_stride
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 1, size, size, size, generator=generator).to(where)
    points = (torch.rand(1, 3, 3, generator=generator) * size).to(where)
    labels = torch.tensor([[1, 1, 0]], device=where)
    mask = torch.zeros(1, 1, side, side, side, device=where)
    embedding = net.encode(image)

    def in_bfloat16() -> Tensor:
        with torch.autocast(where.type, torch.bfloat16):
            return net.encode(image)

    cases: dict[str, Callable[[], Tensor]] = {
        FLOAT32: lambda: net.encode(image),
        "encode, bfloat16 autocast": in_bfloat16,
        "decode a third click, float32": lambda: net.decode(embedding, points, labels, mask),
        MATMUL: matmul_case(where),
    }
    if openvino:
        backend = encoder_backend(net, "openvino", where)
        cases["encode, OpenVINO float32"] = lambda: backend(image)
    repeats = dict.fromkeys(cases, 3)
    if network == "vit_b":
        cases[PADDED] = lambda: padded_encode(net.image_encoder, image)

    facts: dict[str, Any] = {"benchmark": "encoder", "network": network, "machine": machine(where)}
    timings = time_side_by_side(cases, rounds=rounds, device=where, repeats=repeats)
    facts["gigaflop"] = {
        name: gigaflop(case) for name, case in cases.items() if not any(part in name for part in UNCOUNTED)
    }
    facts["share_of_matmul_peak"] = shares_of_peak(facts["gigaflop"], timings)
    if network == "vit_b":
        facts["times_faster_than_padded"] = timings[PADDED].median / timings[FLOAT32].median
        facts["largest_difference"] = float((embedding - cases[PADDED]()).abs().max())
    print(machine_line(facts))
    print(*report_lines(timings, facts["gigaflop"], facts["share_of_matmul_peak"]), sep="\n")
    if network == "vit_b":
        print(f"{FLOAT32}: {facts['times_faster_than_padded']:.1f} times faster than padded", end="")
        print(f", largest difference {facts['largest_difference']:.1e}")
    if json:
        write_json(json, facts, timings)
    if compare:
        print(*comparison(compare, facts, timings), sep="\n")


def random_network(name: str) -> nn.Module:
    """A network none of whose parameters is zero, so that a difference of results shows."""
    torch.manual_seed(0)
    net = build_network(name).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    return net
