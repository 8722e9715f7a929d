"""Which precision a device computes natively: the one rule that trainings, server, scripts and benchmarks follow."""

from __future__ import annotations

import logging
import platform

import torch

logger = logging.getLogger(__name__)

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def chosen_precision(precision: str, device: torch.device | str) -> str:
    """What "auto" stands for on a device; any other precision comes back as it is.

    bfloat16 where the device has units for it, else float32. Emulated, a training step takes 35 times as long as in
    float32 (AVX2), so that the default may not depend on what the first machine happened to have.

    Args:
        precision: "auto", "float32", "bfloat16" or "float16".
        device: where the network runs.

    Raises:
        ValueError: another precision, or float16 on a CPU, which has no gradient scaler.
    """
    device = torch.device(device)
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "float16" and device.type == "cpu":
        raise ValueError("precision float16 needs CUDA and its gradient scaler; on a CPU use bfloat16 or float32")
    if precision != "auto":
        return precision
    return "bfloat16" if computes_bfloat16(device) else "float32"


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device has units for bfloat16, rather than emulating it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # also says no to processors without AVX-512
        return False
    # oneDNN says yes to AVX-512 without bfloat16 instructions, which it emulates there
    return platform.machine().lower() not in ("x86_64", "amd64") or torch.cpu._is_avx512_bf16_supported()


def log_precision(precision: str, device: torch.device | str) -> str:
    """`chosen_precision`, said in the log with its reason."""
    chosen = chosen_precision(precision, device)
    native = computes_bfloat16(torch.device(device))
    has = "computes bfloat16 natively" if native else "has no units for bfloat16"
    logger.info("precision %s on %s, which %s", chosen, device, has)
    if chosen == "bfloat16" and not native:
        logger.warning("bfloat16 is emulated on this %s: expect steps many times slower than in float32", device)
    return chosen
