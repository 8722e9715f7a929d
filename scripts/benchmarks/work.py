"""Floating-point operations of a computation, counted on its tensors, and the machine's rate to hold them against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from benchmarks.timing import Timing
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

MATMUL_SIDE = 2048
MATMUL = f"matrix product, {MATMUL_SIDE}³"  # the case that every share is a share of


def matmul_case(device: torch.device) -> Callable[[], torch.Tensor]:
    """The machine's peak, as torch's own matrix product reaches it in float32."""
    matrix = torch.randn(MATMUL_SIDE, MATMUL_SIDE, device=device)
    return lambda: matrix @ matrix


def gigaflop(case: Callable[[], object]) -> float:
    """Multiplications and additions of matrix products and convolutions, in 10⁹."""
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.mkldnn_convolution: _direct}) as counter:
        case()
    return counter.get_total_flops() / 1e9


def shares_of_peak(work: Mapping[str, float], timings: Mapping[str, Timing]) -> dict[str, float]:
    """Each case's rate over the matrix product's; over 1 where a convolution uses the processor better than it."""
    peak = work[MATMUL] / timings[MATMUL].median
    return {name: amount / timings[name].median / peak for name, amount in work.items()}


def _direct(image: list[int], weight: list[int], *_: Any, out_shape: list[int], **__: Any) -> int:
    return conv_flop_count(image, weight, out_shape)
