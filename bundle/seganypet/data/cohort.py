"""A cohort of phantoms on disk, with its data list."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from seganypet.data.data_list import Entry, write_data_list
from seganypet.data.phantoms.label_maps import make_label_map_phantom
from seganypet.data.phantoms.phantom import make_phantom

GENERATION = 3
"""Raised when the same seed gives other voxels than before, so that cohorts on disk are made anew."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class _Case:
    """All that decides one phantom's files."""

    folder: str
    seed: int
    number: int
    voxel_size_mm: tuple[float, ...] | None
    lesion_count: int | None
    label_map: str | None
    label_names: tuple[tuple[int, str], ...]

    def fingerprint(self) -> dict:
        return {key: value for key, value in asdict(self).items() if key != "folder"} | {"generation": GENERATION}


def write_cohort(
    folder: str | Path,
    count: int,
    seed: int = 0,
    *,
    validation: int = 0,
    test: int = 0,
    voxel_size_mm: Sequence[float] | None = None,
    lesion_count: int | None = None,
    label_maps: Mapping[str, Mapping[int, str]] | None = None,
    label_map_share: float = 0.5,
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
        lesion_count: lesions in each, instead of 1 to 9.
        label_maps: organ label maps to build phantoms on (path → names of their values, see `read_label_maps`), each
            as often as the others.
        label_map_share: how many of the phantoms are built on them, 0 to 1.
        workers: processes, by default one a core; 1 makes the phantoms in this process.
        progress: whether to show a bar.

    Returns:
        The data list's path.

    Raises:
        ValueError: sections larger than the cohort, a share outside 0 to 1, names of a label map without a tissue.
    """
    if not 0 <= label_map_share <= 1:
        raise ValueError(f"label_map_share must lie in 0 to 1, got {label_map_share!r}")
    if count < 1 or validation < 0 or test < 0 or validation + test > count:
        raise ValueError(f"count {count} must hold validation {validation} and test {test}, none negative")
    folder = Path(folder)
    share = label_map_share
    size = None if voxel_size_mm is None else tuple(float(step) for step in voxel_size_mm)
    cases = [
        _Case(str(folder / f"phantom_{n:04d}"), int(seed), n, size, lesion_count, *_anatomy(n, label_maps, share))
        for n in range(count)
    ]
    left = [case for case in cases if _finished(case) is None]
    folder.mkdir(parents=True, exist_ok=True)
    workers = min(workers or len(os.sched_getaffinity(0)), len(left))
    with tqdm(total=count, initial=count - len(left), desc="phantoms", unit="phantom", disable=not progress) as bar:
        for _ in _write_all(left, workers):
            bar.update()
    entries = []
    for case in cases:
        names = _finished(case)
        if names is None:
            raise RuntimeError(f"{case.folder} was written but cannot be read back")
        entries.append(Entry(Path(case.folder, "suv.nii.gz"), Path(case.folder, "labels.nii.gz"), names))
    training = count - validation - test
    sections = {
        "training": entries[:training],
        "validation": entries[training : training + validation],
        "test": entries[training + validation :],
    }
    return write_data_list(folder / "data_list.json", sections)


def _anatomy(
    number: int, label_maps: Mapping[str, Mapping[int, str]] | None, share: float
) -> tuple[str | None, tuple[tuple[int, str], ...]]:
    """The label map that a phantom is built on and its names; None and none for a procedural one."""
    before, after = int(number * share), int((number + 1) * share)  # spread evenly over the cohort
    if not label_maps or before == after:
        return None, ()
    path, names = list(label_maps.items())[before % len(label_maps)]
    return str(path), tuple((int(value), str(name)) for value, name in names.items())


def _write_all(cases: list[_Case], workers: int) -> Iterator[None]:
    if workers <= 1:
        yield from map(_write_case, cases)
        return
    # Not forked: the caller may hold torch's threads. One thread each: the processes share the cores.
    with _single_threads(), ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_write_case, cases)


@contextmanager
def _single_threads() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _finished(case: _Case) -> dict[int, str] | None:
    """Names of the targets of a case that is complete on disk and made with the same parameters, else None."""
    folder = Path(case.folder)
    try:
        record = json.loads((folder / "phantom.json").read_text())
        same = record["made_with"] == json.loads(json.dumps(case.fingerprint()))
        names = {int(value): str(name) for value, name in record["target_names"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return names if same and all((folder / f).is_file() for f in ("suv.nii.gz", "labels.nii.gz")) else None


def _write_case(case: _Case) -> None:
    folder = Path(case.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "phantom.json").unlink(missing_ok=True)
    rng = np.random.default_rng([case.seed, case.number])
    if case.label_map is None:
        phantom = make_phantom(rng, voxel_size_mm=case.voxel_size_mm, lesion_count=case.lesion_count)
    else:
        phantom = make_label_map_phantom(
            case.label_map,
            dict(case.label_names),
            rng,
            voxel_size_mm=case.voxel_size_mm,
            lesion_count=case.lesion_count,
        )
    drafts = [folder / f".{os.getpid()}.{name}" for name in ("suv.nii.gz", "labels.nii.gz", "phantom.json")]
    phantom.save(drafts[0], drafts[1])
    record = {
        "made_with": case.fingerprint(),
        "label_names": phantom.label_names,
        "target_names": phantom.target_names,
        "patient": asdict(phantom.patient) if phantom.patient else None,
        "scanner": asdict(phantom.scanner) if phantom.scanner else None,
        "lesions": [asdict(lesion) for lesion in phantom.lesions],
    }
    drafts[2].write_text(json.dumps(record, indent=1))
    for draft in drafts:
        os.replace(draft, folder / draft.name.split(".", 2)[2])
