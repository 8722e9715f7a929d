"""The same clicks over /infer and over nnInteractive's protocol, by its official client, in turns."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import requests
import torch
from benchmarks.readers import wait_until_encoded
from benchmarks.results import machine_line, report_lines
from benchmarks.served_studies import VOXEL_MM, whole_body
from benchmarks.server_process import serving
from benchmarks.timing import Timing, machine, summary

from seganypet.clicks import centre_click

APP = Path(__file__).resolve().parents[2] / "apps" / "seganypet_label"
STUDY, LESIONS = "whole_body", 12
INFER, SESSION = "/infer: click", "nnInteractive: click"


def protocols(shape: Sequence[int] = (200, 200, 400), targets: int = 20) -> None:
    """Times a first click on each target both ways; the study is encoded before.

    Args:
        shape: voxels of the study, of 4×4×3 mm.
        targets: how many targets are clicked.
    """
    from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession  # a test dependency

    volume, masks = whole_body((shape[0], shape[1], shape[2]), LESIONS)
    seconds: dict[str, list[float]] = {INFER: [], SESSION: []}
    with tempfile.TemporaryDirectory(prefix="seganypet-benchmark-") as temporary:
        folder = Path(temporary)
        (folder / "studies").mkdir()
        nib.save(nib.Nifti1Image(volume.voxels, volume.affine), folder / "studies" / f"{STUDY}.nii.gz")
        with serving(APP, folder / "studies", folder / "server.log", {}) as server:
            requests.get(f"{server.url}/read/{STUDY}/about", timeout=120)
            wait_until_encoded(server.url, at_most_s=300)
            session = nnInteractiveRemoteInferenceSession(f"{server.url}/nninteractive")
            another = np.asarray(volume.voxels) * np.float32(1.001)  # or one would find the other's answers remembered
            start = time.perf_counter()
            session.set_image(another[None], {"spacing": list(VOXEL_MM)})
            seconds["nnInteractive: image sent"] = [time.perf_counter() - start]
            session.set_target_buffer(np.zeros(volume.shape, np.uint8))
            wait_until_encoded(server.url, at_most_s=300)
            for number, target in enumerate(list(masks.values())[:targets]):
                click = centre_click(np.zeros_like(target), target, volume.spacing_mm)
                assert click is not None
                ijk = [round(n) for n in click.ijk]
                for name in (INFER, SESSION) if number % 2 else (SESSION, INFER):
                    seconds[name].append(_by_infer(server.url, ijk) if name == INFER else _by_session(session, ijk))
            session.close()
    timings: dict[str, Timing] = {name: summary(values) for name, values in seconds.items()}
    print(machine_line({"machine": machine(torch.device("cpu"))}))
    print(*report_lines(timings, {}, {}), sep="\n")
    ratios = [second / first for first, second in zip(seconds[INFER], seconds[SESSION], strict=True)]
    print(f"nnInteractive over /infer, click by click: median {np.median(ratios):.2f}")


def _by_infer(url: str, ijk: list[int]) -> float:
    form = {"params": json.dumps({"foreground": [ijk], "background": [], "result_extension": ".nrrd"})}
    start = time.perf_counter()
    requests.post(f"{url}/infer/seganypet?image={STUDY}&output=image", data=form, timeout=120)
    return time.perf_counter() - start


def _by_session(session: Any, ijk: list[int]) -> float:
    session.reset_interactions()
    start = time.perf_counter()
    session.add_point_interaction(ijk, True)
    return time.perf_counter() - start
