"""What a reader waits for on the reading page: real mouse clicks in a headless Chromium, painted by software."""

from __future__ import annotations

import json as json_format
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from benchmarks.readers import wait_until_encoded
from benchmarks.results import comparison, machine_line, report_lines, write_json
from benchmarks.served_studies import whole_body
from benchmarks.server_process import serving
from benchmarks.timing import Timing, machine, summary

from seganypet.clicks import InitialMask, centre_click
from seganypet.clicks.reading import read_prompts
from seganypet.data.targets import is_lesion

APP = Path(__file__).resolve().parents[2] / "apps" / "seganypet_label"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
STUDY, LESIONS = "whole_body", 12
PACKED = """() => { const {findings, grid} = seganypet, mask = findings.shown(findings.active)?.mask;
  return mask ? grid.pack(mask) : null; }"""
PLACE = """ijk => { const voxel = seganypet.grid.fromStudy(ijk); seganypet.moveTo(voxel);
  return seganypet.views[0].pageAt(voxel); }"""
HIDE = "() => seganypet.findings.set(seganypet.findings.activeId, {hidden: true})"
FRAME = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def page(
    shape: Sequence[int] = (200, 200, 400),
    clicks: int = 3,
    width: int = 1366,
    height: int = 768,
    json: str = "",
    compare: str = "",
) -> None:
    """Times opening a study, the server's answers, painting, and click to painted mask.

    Args:
        shape: voxels of the study, of 4×4×3 mm.
        clicks: at most, on a target.
        width: of the window.
        height: of the window.
        json: file to write the figures to.
        compare: file of an earlier run to set them beside.
    """
    from playwright.sync_api import sync_playwright  # a test dependency: pip install -r requirements-dev.txt

    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        raise SystemExit(f"benchmark: none of {', '.join(BROWSERS)} is installed")
    volume, masks = whole_body((shape[0], shape[1], shape[2]), LESIONS)
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="seganypet-benchmark-") as temporary:
        folder = Path(temporary)
        (folder / "studies").mkdir()
        nib.save(nib.Nifti1Image(volume.voxels, volume.affine), folder / "studies" / f"{STUDY}.nii.gz")
        with serving(APP, folder / "studies", folder / "server.log", {}) as server, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
            window = browser.new_context(viewport={"width": width, "height": height}).new_page()
            address = f"{server.url}/read/{STUDY}"
            for name in ("opened, not at hand", "opened, at hand"):
                start = time.perf_counter()
                window.goto(address)
                window.wait_for_selector("body[data-ready]", timeout=120_000)
                seconds[f"{name}: slices"] = [time.perf_counter() - start]
                window.wait_for_selector("body[data-ready=all]", timeout=120_000)
                seconds[f"{name}: projections"] = [time.perf_counter() - start]
                wait_until_encoded(server.url, at_most_s=300)
            for name, target in masks.items():
                group = "lesion" if is_lesion(name) else "organ"
                for number, times in enumerate(_read(window, target, volume.spacing_mm, clicks)):
                    which = f"{group}, {'later' if number else 'first'} click"
                    for stage, taken in times.items():
                        seconds.setdefault(f"{which}: {stage}", []).append(taken)
            browser.close()
    timings: dict[str, Timing] = {name: summary(values) for name, values in seconds.items()}
    facts: dict[str, Any] = {
        "benchmark": "page",
        "machine": machine(torch.device("cpu")),
        "study": list(shape),
        "window": [width, height],
        "p95": {name: float(np.quantile(values, 0.95)) for name, values in seconds.items()},
    }
    print(machine_line(facts))
    for name, line in zip(timings, report_lines(timings, {}, {}), strict=True):
        print(f"{line}   p95 {1e3 * facts['p95'][name]:.1f}")
    if json:
        write_json(json, facts, timings)
    if compare:
        print(*comparison(compare, facts, timings), sep="\n")


def _read(window: Any, target: np.ndarray, spacing_mm: Sequence[float], clicks: int) -> list[dict[str, float]]:
    """Seconds from each click on a target to the server's answer and to the painted mask."""
    taken: list[dict[str, float]] = []
    mask = np.zeros_like(target)
    window.keyboard.press("n")
    for _ in range(clicks):
        click = centre_click(mask, target, spacing_mm)
        if click is None:
            break
        place = window.evaluate(PLACE, [round(n) for n in click.ijk])
        window.evaluate(FRAME)
        window.evaluate("() => { delete document.body.dataset.timings; }")
        window.mouse.click(*place, button="left" if click.positive else "right")
        try:
            window.wait_for_selector("body[data-timings]", timeout=30_000)
        except Exception:  # the click selected another finding, or was answered before
            break
        times = json_format.loads(window.evaluate("() => document.body.dataset.timings"))
        answer, painted = times["answer"] / 1e3, times["painted"] / 1e3
        taken.append({"answer": answer, "paint": painted - answer, "click to painted": painted})
        mask = _mask(window.evaluate(PACKED), target.shape)
    window.evaluate(HIDE)  # so that a click in it begins a finding of its own
    return taken


def _mask(packed: dict[str, Any] | None, shape: tuple[int, ...]) -> np.ndarray:
    if not packed:
        return np.zeros(shape, bool)
    (mask,) = read_prompts([{"type": "mask", **packed}])
    assert isinstance(mask, InitialMask)
    return mask.on(shape)
