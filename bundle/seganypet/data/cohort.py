"""A cohort of phantoms on disk, with its data list."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from seganypet.data.cohort_case import IMAGE, LABELS, RECORD, Case, write_case
from seganypet.data.data_list import Entry, write_data_list
from seganypet.data.phantoms import LabelMap, LesionMap, Options

_PACKAGES = Path(__file__).resolve().parents[2]
_NOT_WORTH_STARTING = 4  # cases: a process takes some seconds to import what it needs


def write_cohort(
    folder: str | Path,
    count: int,
    seed: int = 0,
    *,
    validation: int = 0,
    test: int = 0,
    voxel_size_mm: Sequence[float] | None = None,
    lesion_count: int | None = None,
    label_maps: Sequence[LabelMap] = (),
    label_map_share: float = 0.5,
    crops: Sequence[Entry] = (),
    crop_share: float = 1.0,
    lesion_shapes: Sequence[LesionMap] = (),
    brain_pattern: str | None = None,
    other_tracers: float = 0.0,
    region_mm: float | None = None,
    faint_share: float = 0.0,
    truth_habits: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Write `count` phantoms and their data list into `folder`; what is there already is kept.

    Phantom n depends on (seed, n) alone, so that a longer cohort begins with a shorter one's cases. Every file appears
    complete or not at all, and a case counts once its `phantom.json` is there: a run that was cut off goes on where
    it stopped. The list names organs and lesions; fat, muscle and the like stand in the label maps and in
    `phantom.json` only. The last `test` phantoms are the test section, the `validation` before them the validation
    section.

    Args:
        folder: gets `phantom_0000/suv.nii.gz`, `labels.nii.gz` and `phantom.json` each, and `data_list.json`.
        count: phantoms in all.
        seed: of the cohort.
        validation: how many of them are for validation.
        test: how many of them are for test.
        voxel_size_mm: one voxel size for all, instead of clinical scanners' drawn by lot.
        lesion_count: lesions in each, instead of 2 to 16.
        label_maps: organ label maps to build phantoms on, each as often as the others.
        label_map_share: how many of the phantoms are built on them, 0 to 1.
        crops: real tumours to paste (`paste_crop`), one into a phantom, each as often as the others. Such a phantom has
            the crop's voxel size, unless `voxel_size_mm` says otherwise.
        crop_share: how many of the phantoms get one, 0 to 1.
        lesion_shapes: label maps of real lesions to take sizes, shapes and places from.
        brain_pattern: NIfTI of a real brain's FDG uptake to lay into the phantoms' brains.
        other_tracers: how many of the phantoms are PSMA- or DOTATATE-like instead of FDG, 0 to 1.
        region_mm: keep a cube of that side around one of the lesions, with voxels down to 1 mm: see `Options`.
        faint_share: how many of the lesions under 10 mm in radius are faint and even, 0 to 1: see `Options`.
        truth_habits: outline the training section's lesions by readers' habits (`HABITS`) instead of as painted;
            validation and test keep the painted object.
        workers: processes, by default one a core; 1 makes the phantoms in this process.
        progress: whether to show a bar.

    Returns:
        The data list's path.

    Raises:
        ValueError: sections larger than the cohort, lesions below 0, a share outside 0 to 1, names without a tissue.
    """
    for name, share in (
        ("label_map_share", label_map_share),
        ("crop_share", crop_share),
        ("other_tracers", other_tracers),
    ):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must lie in 0 to 1, got {share!r}")
    if count < 1 or validation < 0 or test < 0 or validation + test > count:
        raise ValueError(f"count {count} must hold validation {validation} and test {test}, none negative")
    if lesion_count is not None and lesion_count < 0:
        raise ValueError(f"lesion_count must be 0 or more, got {lesion_count}")
    Options(
        region_mm=region_mm, faint_share=faint_share
    )  # says itself what is wrong with it, before any process starts
    folder = Path(folder)
    size = None if voxel_size_mm is None else [float(step) for step in voxel_size_mm]
    cases = []
    for n in range(count):
        map_number, crop_number = _turn(n, label_map_share), _turn(n, crop_share)
        source = label_maps[map_number % len(label_maps)] if label_maps and map_number is not None else None
        crop = None
        if crops and crop_number is not None:
            entry = crops[crop_number % len(crops)]
            files = {"image": str(entry.image.resolve()), "label": str(entry.label.resolve())}
            crop = files | {"values": sorted(entry.label_names)}
        cases.append(
            Case(
                folder=str(folder / f"phantom_{n:04d}"),
                seed=int(seed),
                number=n,
                voxel_size_mm=size,
                lesion_count=lesion_count,
                label_map=None if source is None else source.to_json(),
                crop=crop,
                lesion_shapes=[one.to_json() for one in lesion_shapes],
                brain_pattern=brain_pattern,
                other_tracers=float(other_tracers),
                region_mm=None if region_mm is None else float(region_mm),
                faint_share=float(faint_share),
                truth_habits=bool(truth_habits) and n < count - validation - test,
            )
        )
    left = [case for case in cases if case.targets() is None]
    folder.mkdir(parents=True, exist_ok=True)
    workers = min(workers or len(os.sched_getaffinity(0)), len(left))
    with tqdm(total=count, initial=count - len(left), desc="phantoms", unit="phantom", disable=not progress) as bar:
        for _ in _write_all(left, workers):
            bar.update()
    entries = []
    for case in cases:
        targets = case.targets()
        if targets is None:
            raise RuntimeError(f"{case.folder} was written, but its {RECORD} cannot be read back")
        entries.append(Entry(Path(case.folder, IMAGE), Path(case.folder, LABELS), targets))
    training = count - validation - test
    sections = {
        "training": entries[:training],
        "validation": entries[training : training + validation],
        "test": entries[training + validation :],
    }
    return write_data_list(folder / "data_list.json", sections)


def _turn(number: int, share: float) -> int | None:
    """Which of a `share` of all numbers this one is, spread evenly; None if it is none of them."""
    before, after = int(number * share), int((number + 1) * share)
    return before if before < after else None


# Ctrl-C is the caller's to tell of: this one ends without a word
_WORKER = """
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
from seganypet.data.cohort_case import serve
serve()
"""


def _write_all(cases: list[Case], workers: int) -> Iterator[None]:
    """Write the cases, in this process or by `workers` others, and yield as each is done.

    Raises:
        RuntimeError: a process that ended early; its own traceback is on standard error.
    """
    if workers <= 1 or len(cases) <= _NOT_WORTH_STARTING:
        yield from map(write_case, cases)
        return
    left: queue.SimpleQueue[Case] = queue.SimpleQueue()
    done: queue.SimpleQueue[None] = queue.SimpleQueue()
    for case in cases:
        left.put(case)
    with ThreadPoolExecutor(workers) as pool:
        feeders = [pool.submit(_feed, left, done) for _ in range(workers)]
        finished = 0
        while finished < len(cases):
            try:
                yield done.get(timeout=0.2)
                finished += 1
            except queue.Empty:
                for feeder in feeders:
                    if feeder.done() and feeder.exception():
                        while not left.empty():  # let the others end after the case they are at
                            left.get()
                        feeder.result()


def _feed(left: queue.SimpleQueue[Case], done: queue.SimpleQueue[None]) -> None:
    """Hand cases to a process of our own until none is left. One thread each: the processes share the cores."""
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_PACKAGES), environment.get("PYTHONPATH"))))
    command = [sys.executable, "-c", _WORKER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while True:
            try:
                case = left.get_nowait()
            except queue.Empty:
                return
            try:
                process.stdin.write(json.dumps(asdict(case)) + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            if answer.strip() != case.folder:
                if not answer and process.wait() == -signal.SIGINT:  # Ctrl-C reached it before the caller
                    raise KeyboardInterrupt
                raise RuntimeError(f"the process that was to write {case.folder} ended early; see its error above")
            done.put(None)
