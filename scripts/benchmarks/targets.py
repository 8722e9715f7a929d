"""Seconds that a reader waits for each lesion and organ of a whole body, with trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.results import comparison, machine_line, report_lines, write_json
from benchmarks.served_studies import whole_body
from benchmarks.timing import Timing, machine, summary, time_side_by_side
from benchmarks.work import MATMUL, matmul_case

from seganypet.clicks import Click, centre_click
from seganypet.data.targets import is_lesion
from seganypet.inference import ClickSegmenter, keep_freed_memory
from seganypet.networks import load_network
from seganypet.pet import PetVolume

EMBEDDED = Path(__file__).resolve().parents[2] / "bundle" / "models" / "model.pt"
LESIONS = 12
STAGES = ("prepare_s", "encode_s", "decode_s", "total_s")


def targets(
    shape: Sequence[int] = (200, 200, 400),
    clicks: int = 4,
    weights: str = str(EMBEDDED),
    device: str = "cpu",
    threads: int = 0,
    json: str = "",
    compare: str = "",
) -> None:
    """Times the first and the later clicks on every target of a phantom, apart for lesions and organs, by stage.

    The study was opened before: its coarse windows are encoded, as a server does it in the background. Each click is
    at the middle of the largest error, and a target that is right has no more of them.

    Args:
        shape: voxels of the field of view, of 4×4×3 mm.
        clicks: at most, on a target.
        weights: model.pt.
        device: "cpu" or "cuda".
        threads: CPU threads; 0 for as many as torch takes.
        json: file to write the figures to.
        compare: file of an earlier run to set them beside.
    """
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    where = torch.device(device)
    volume, masks = whole_body((shape[0], shape[1], shape[2]), LESIONS)
    segmenter = ClickSegmenter(load_network(weights), device=where)
    segmenter.encode_ahead(volume)
    seconds: dict[str, list[float]] = {}
    for name, mask in masks.items():
        group = "lesion" if is_lesion(name) else "organ"
        for number, stages in enumerate(answered(segmenter, volume, mask, clicks)):
            which = f"{group}, {'later' if number else 'first'} click"
            for stage, taken in stages.items():
                seconds.setdefault(f"{which}: {stage.removesuffix('_s')}", []).append(taken)
    timings: dict[str, Timing] = time_side_by_side({MATMUL: matmul_case(where)}, rounds=5, device=where)
    timings |= {name: summary(values) for name, values in seconds.items()}
    facts: dict[str, Any] = {
        "benchmark": "targets",
        "machine": machine(where),
        "study": list(shape),
        "embeddings_mib": segmenter.encoder.embeddings.bytes_held / 2**20,
        "p95": {name: float(np.quantile(values, 0.95)) for name, values in seconds.items()},
    }
    print(machine_line(facts))
    for name, line in zip(timings, report_lines(timings, {}, {}), strict=True):
        print(line + (f"   p95 {1e3 * facts['p95'][name]:.1f}" if name in facts["p95"] else ""))
    print(f"{len(masks)} targets; the study's embeddings and fine windows hold {facts['embeddings_mib']:.0f} MiB")
    if json:
        write_json(json, facts, timings)
    if compare:
        print(*comparison(compare, facts, timings), sep="\n")


def answered(
    segmenter: ClickSegmenter, volume: PetVolume, target: np.ndarray, clicks: int
) -> Iterator[dict[str, float]]:
    """Seconds by stage of each answer to a reader's clicks on one target."""
    made: list[Click] = []
    mask = np.zeros_like(target)
    for _ in range(clicks):
        click = centre_click(mask, target, volume.spacing_mm)
        if click is None:
            return
        made.append(click)
        mask, details = segmenter.segment_with_details(volume, made)
        yield {stage: float(getattr(details, stage)) for stage in STAGES}
