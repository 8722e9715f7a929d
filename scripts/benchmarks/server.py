"""What readers wait for: clicks over HTTP through the real server, beside the same network served the stock way."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import requests
import torch
from benchmarks.encoder import random_network
from benchmarks.readers import Reading, ask, open_another, read, read_together, wait_until_encoded
from benchmarks.results import comparison, machine_line, report_lines, write_json
from benchmarks.served_studies import ServedStudy, write_studies
from benchmarks.server_process import serving
from benchmarks.timing import Timing, machine, summary

from seganypet.inference import ClickSegmenter
from seganypet.networks import load_network, save_network

ROOT = Path(__file__).resolve().parents[2]
APP, STOCK_APP = ROOT / "apps" / "seganypet_label", Path(__file__).resolve().parent / "stock_app"
EMBEDDED = ROOT / "bundle" / "models" / "model.pt"
WAIT_FOR_BACKGROUND_S = 300.0

Seconds = dict[str, list[float]]


def server(
    readers: Sequence[int] = (1, 4, 16),
    shape: Sequence[int] = (200, 200, 400),
    clicks: int = 4,
    stock_clicks: int = 2,
    opened: int = 3,
    weights: str = "",
    json: str = "",
    compare: str = "",
) -> None:
    """Measures first and later clicks, alone and among other readers, /info meanwhile, bytes and memory.

    Every number of readers meets a server just started, without background encoding, so that none finds another's
    answers; the masks of each reader must be those that the first number of readers got, to the last bit.

    Args:
        readers: numbers of readers at work at once, each on a study of their own; the first one is the reference.
        shape: voxels of a study, of 4×4×3 mm.
        clicks: requests a reader makes.
        stock_clicks: requests a reader of the stock server makes; 0 leaves it out.
        opened: studies for each of the first clicks without and with background encoding.
        weights: model.pt; by default the embedded one, or an untrained compact network where there is none.
        json: file to write the figures to.
        compare: file of an earlier run to set them beside.
    """
    with tempfile.TemporaryDirectory(prefix="seganypet-benchmark-") as temporary:
        folder = Path(temporary)
        model = Path(weights) if weights else _weights(folder)
        count = max(*readers, 2 * opened)
        segmenter = ClickSegmenter(load_network(model))
        studies = write_studies(folder / "studies", count, (shape[0], shape[1], shape[2]), clicks, segmenter)
        del segmenter  # its memory and threads are the servers' now
        facts: dict[str, Any] = {
            "benchmark": "server",
            "machine": machine(torch.device("cpu")),
            "study": list(shape),
            "weights": model.name,
        }
        seconds: Seconds = {}
        _single_reader(folder, model, studies, opened, seconds, facts)
        facts["masks_equal"] = _many_readers(folder, model, studies, readers, clicks, seconds, facts)
        if stock_clicks:
            _stock(folder, model, studies, readers, stock_clicks, seconds, facts)
    timings = {name: summary(values) for name, values in seconds.items()}
    facts["p95"] = {name: float(np.quantile(values, 0.95)) for name, values in seconds.items()}
    facts["p99"] = {name: float(np.quantile(values, 0.99)) for name, values in seconds.items()}
    _report(facts, timings)
    if json:
        write_json(json, facts, timings)
    if compare:
        print(*comparison(compare, facts, timings), sep="\n")


def _weights(folder: Path) -> Path:
    if EMBEDDED.is_file():
        return EMBEDDED
    path = folder / "untrained.pt"
    save_network(random_network("compact"), path)
    return path


def _single_reader(
    folder: Path, model: Path, studies: Sequence[ServedStudy], opened: int, seconds: Seconds, facts: dict[str, Any]
) -> None:
    """First clicks on studies nobody has opened, and on those that were encoded in the background since."""
    with serving(APP, _copy(folder, "single"), folder / "single.log", {"weights": model}) as process:
        seen: set[str] = set()
        cold = seconds["first click, cold"] = []
        for study in studies[:opened]:
            cold += read(process.url, study, 1)[0]
            seen.add(study.name)
            wait_until_encoded(process.url, at_most_s=WAIT_FOR_BACKGROUND_S)
        encoded = seconds["first click, encoded in the background"] = []
        later = seconds["later click, encoded in the background"] = []
        for _ in range(opened):
            study = open_another(process.url, studies, seen)
            if study is None or not wait_until_encoded(process.url, at_most_s=WAIT_FOR_BACKGROUND_S):
                break
            seen.add(study.name)
            taken = read(process.url, study, len(study.clicks))[0]
            encoded.append(taken[0])
            later += taken[1:]
        with requests.Session() as session:
            facts["bytes_sent"] = {"our server": len(ask(session, process.url, studies[0], 1))}
        facts["bytes_sent"]["our server, to a browser"] = _gzipped_bytes(process.url, studies[0])
        facts["peak_mib"] = {"our server, one reader": process.peak_mib()}


def _many_readers(
    folder: Path,
    model: Path,
    studies: Sequence[ServedStudy],
    readers: Iterable[int],
    clicks: int,
    seconds: Seconds,
    facts: dict[str, Any],
) -> bool:
    """Readers at work at once; whether all of them got the masks that the first number of readers got."""
    equal, reference = True, None
    for number in readers:
        conf = {"weights": model, "encode_ahead_s": 0}
        with serving(APP, _copy(folder, f"of_{number}"), folder / f"of_{number}.log", conf) as process:
            # the reference has every study read, by as many readers at a time as it is of
            mine = studies if reference is None else studies[:number]
            reading = read_together(process.url, mine, clicks=clicks, at_once=number)
            facts["peak_mib"][f"our server, {number} at once"] = process.peak_mib()
        _note(reading, f"{number} at once", seconds)
        reference = reference or reading.masks
        equal &= all(reference[key] == checksum for key, checksum in reading.masks.items())
    return equal


def _stock(
    folder: Path,
    model: Path,
    studies: Sequence[ServedStudy],
    readers: Iterable[int],
    clicks: int,
    seconds: Seconds,
    facts: dict[str, Any],
) -> None:
    app = Path(shutil.copytree(STOCK_APP, folder / "stock_app"))  # MONAI Label writes its log into an app's folder
    conf = {"weights": model, "bundle": EMBEDDED.parents[1]}
    with serving(app, _copy(folder, "stock"), folder / "stock.log", conf) as process:
        read(process.url, studies[0], 1)  # loads the network
        for number in readers:
            reading = read_together(process.url, studies[:number], clicks=clicks, at_once=number)
            seconds[f"stock: click, {number} at once"] = reading.first + reading.later
            seconds[f"stock: /info meanwhile, {number} at once"] = reading.info
        facts["bytes_sent"]["stock server"] = reading.bytes_sent
        facts["peak_mib"]["stock server"] = process.peak_mib()


def _note(reading: Reading, name: str, seconds: Seconds) -> None:
    seconds[f"first click, {name}"] = reading.first
    seconds[f"later click, {name}"] = reading.later
    seconds[f"/info meanwhile, {name}"] = reading.info


def _gzipped_bytes(url: str, study: ServedStudy) -> int:
    """Bytes of an answer as OHIF asks for it: the mask alone, and browsers unpack gzip."""
    i, j, k = study.clicks[0].ijk
    data = {"params": f'{{"foreground": [[{i}, {j}, {k}]], "background": [], "result_extension": ".nrrd"}}'}
    with requests.post(
        f"{url}/infer/seganypet",
        params={"image": study.name, "output": "image"},
        data=data,
        headers={"Accept-Encoding": "gzip"},
        timeout=300,
        stream=True,
    ) as answer:
        answer.raise_for_status()
        return len(answer.raw.read(decode_content=False))


def _copy(folder: Path, name: str) -> Path:
    """A studies folder of its own for each server, since a server keeps its list of labels there; hard links."""
    return Path(shutil.copytree(folder / "studies", folder / name, copy_function=os.link))


def _report(facts: dict[str, Any], timings: dict[str, Timing]) -> None:
    print(machine_line(facts))
    print(f"studies of {'×'.join(str(n) for n in facts['study'])} voxels, weights {facts['weights']}")
    for name, line in zip(timings, report_lines(timings, {}, {}), strict=True):
        print(f"{line}   p95 {1e3 * facts['p95'][name]:.1f}   p99 {1e3 * facts['p99'][name]:.1f}")
    for name, size in facts["bytes_sent"].items():
        print(f"{name:44} {size / 1e6:10.2f} MB an answer")
    for name, size in facts["peak_mib"].items():
        print(f"{name:44} {size or float('nan'):10.0f} MiB at most")
    print(f"masks bit-equal whatever the number of readers: {facts['masks_equal']}")
