"""Whether active learning pays: a simulated reader annotates studies over HTTP, in the order that a strategy hands out.

    python scripts/simulate_reader.py --output runs/simulate_reader
    python scripts/simulate_reader.py --output runs/simulate_reader --arms random,none --seeds 1

The real server runs over a cohort that its weights were not made for: PSMA- and DOTATATE-like phantoms, cut to a cube
around a lesion. The reader asks for the next sample, clicks each target until Dice 0.85 or ten clicks, saves the label,
and has the server train every few studies; then the first click on held-out studies is measured. The arms are the
server's strategies, and `none`: a random order without training. Runs of one seed share studies and held-out studies.

A finished run is kept and a run that was cut off starts again: the command goes on where it stopped. --output gets
steps.csv, curves.png and summary.md.
"""

import csv
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import command
import nibabel as nib
import numpy as np
import requests
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from demo_server import server_process

from seganypet.clicks import Click, InitialMask, centre_click
from seganypet.clicks.reading import prompt_json, read_prompts
from seganypet.data import read_data_list, write_cohort
from seganypet.data.data_list import Entry
from seganypet.evaluation.metrics import dice

ROOT = Path(__file__).resolve().parents[1]
APP, MODEL = ROOT / "apps" / "seganypet_label", "seganypet"
ARMS = ("uncertainty", "diversity", "random", "none")
GOOD_ENOUGH, MOST_CLICKS = 0.85, 10
MOST_TARGETS = 6  # of a study, lesions first
WAIT_S = 3600
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}


@dataclass(frozen=True)
class Step:
    """Where a run stands after some studies.

    Args:
        seed: of the cohort.
        arm: the strategy, or "none".
        studies: annotated so far.
        targets: clicked so far.
        clicks: made so far.
        seconds: the server took to answer them.
        dice: mean Dice of one click on the held-out studies' targets.
    """

    seed: int
    arm: str
    studies: int
    targets: int
    clicks: int
    seconds: float
    dice: float


def simulate_reader(
    output: str,
    arms: Sequence[str] = ARMS,
    seeds: int = 3,
    studies: int = 8,
    held_out: int = 4,
    train_every: int = 4,
    windows: int = 120,
    epochs: int = 2,
    region_mm: float = 240.0,
    weights: str = "",
) -> None:
    """Run what is not done yet, and write the table, the plot and the summary of what is.

    Args:
        output: folder for cohorts, runs and results.
        arms: of uncertainty, diversity, random, none.
        seeds: how many cohorts; each arm meets each.
        studies: that the reader annotates.
        held_out: studies that are only measured.
        train_every: studies between trainings.
        windows: training windows of each training.
        epochs: of each training.
        region_mm: side of the cube that is kept of a phantom.
        weights: to start from, instead of the embedded ones.
    """
    chosen = [arms] if isinstance(arms, str) else list(arms)
    chosen = [name for one in chosen for name in str(one).split(",")]
    unknown = sorted(set(chosen) - set(ARMS))
    if unknown or studies < train_every or train_every < 2:
        sys.exit(
            f"simulate_reader: arms are {', '.join(ARMS)}; train_every from 2 to studies; got {unknown or studies}"
        )
    folder = Path(output).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"studies": studies, "held_out": held_out, "train_every": train_every, "windows": windows}
    sizes |= {"epochs": epochs, "region_mm": region_mm}
    _same_as_before(folder / "sizes.json", sizes)
    for seed in range(seeds):
        cohort = folder / f"cohort_{seed}"
        count = studies + held_out
        listed = write_cohort(cohort, count, 4200 + seed, test=held_out, other_tracers=1.0, region_mm=region_mm)
        for arm in chosen:
            run = folder / f"seed{seed}_{arm}"
            if not (run / "steps.json").exists():
                print(f"seed {seed}, {arm}", flush=True)
                steps = read_cohort(run, seed, arm, listed, train_every, windows, epochs, weights)
                (run / "steps.json").write_text(json.dumps([asdict(step) for step in steps], indent=1))
                shutil.rmtree(run / "studies")
            write_results(folder, sizes)
    write_results(folder, sizes)


def read_cohort(
    run: Path, seed: int, arm: str, listed: Path, train_every: int, windows: int, epochs: int, weights: str
) -> list[Step]:
    """One run: a server over the cohort's images, and a reader who annotates them all."""
    shutil.rmtree(run, ignore_errors=True)
    (run / "studies").mkdir(parents=True)
    cohort = read_data_list(listed)
    entries = {entry.image.parent.name: entry for entry in cohort.training}
    for name, entry in entries.items():
        shutil.copyfile(entry.image, run / "studies" / f"{name}.nii.gz")
    conf: dict[str, object] = {"encode_ahead_s": 0} | ({"weights": Path(weights).absolute()} if weights else {})
    log = run / "server.log"
    with server_process(APP, run / "studies", log, conf, {**os.environ, **ENVIRONMENT}) as (url, _):
        steps = [Step(seed, arm, 0, 0, 0, 0.0, first_clicks(url, cohort.test))]
        targets, clicks, seconds = 0, 0, 0.0
        order = np.random.default_rng([seed, 7]).permutation(sorted(entries)).tolist()
        for number in range(1, len(entries) + 1):
            name = order[number - 1] if arm in ("random", "none") else next_study(url, arm)
            made, taken = annotate(url, name, entries[name])
            targets, clicks, seconds = targets + len(made), clicks + sum(made), seconds + taken
            if number % train_every == 0:
                if arm != "none":
                    train(url, windows, epochs)
                steps.append(Step(seed, arm, number, targets, clicks, seconds, first_clicks(url, cohort.test)))
                print(f"  {steps[-1]}", flush=True)
    return steps


def next_study(url: str, strategy: str) -> str:
    """The study that a strategy hands out, after everything was scored with the weights in force."""
    _asked(requests.post(f"{url}/scoring/uncertainty?run_sync=true", json={}, timeout=WAIT_S))
    return str(_asked(requests.post(f"{url}/activelearning/{strategy}", json={}, timeout=600)).json()["id"])


def annotate(url: str, name: str, entry: Entry) -> tuple[list[int], float]:
    """Click every target of a study and save the masks as its final label; clicks of each target, and seconds."""
    labels: dict[str, np.ndarray] = {}
    made, seconds = [], 0.0
    for label, truth, spacing in targets_of(entry):
        clicks: list[Click] = []
        mask = np.zeros_like(truth)
        while len(clicks) < MOST_CLICKS and dice(mask, truth) < GOOD_ENOUGH:
            click = centre_click(mask, truth, spacing)
            if click is None:
                break
            clicks.append(click)
            begun = time.perf_counter()
            mask = ask(url, {"image": name}, clicks, truth.shape)
            seconds += time.perf_counter() - begun
        made.append(len(clicks))
        labels[label] = mask
    image = nib.load(entry.image)
    joined = np.zeros(image.shape, np.uint8)
    for value, mask in enumerate(labels.values(), start=1):
        joined[mask] = value
    info = {"label_info": [{"name": label, "idx": value} for value, label in enumerate(labels, start=1)]}
    content = nib.Nifti1Image(joined, image.affine).to_bytes()
    files = {"label": (f"{name}.nii", content)}
    form = {"params": json.dumps(info)}
    _asked(requests.put(f"{url}/datastore/label?image={name}&tag=final", data=form, files=files, timeout=600))
    return made, seconds


def first_clicks(url: str, entries: Sequence[Entry]) -> float:
    """Mean Dice of the first click on each target of studies that the server does not keep."""
    reached = []
    for entry in entries:
        content = entry.image.read_bytes()
        for _, truth, spacing in targets_of(entry):
            click = centre_click(np.zeros_like(truth), truth, spacing)
            assert click is not None
            reached.append(dice(ask(url, {"file": (entry.image.name, content)}, [click], truth.shape), truth))
    return float(np.mean(reached))


def ask(url: str, study: dict[str, Any], clicks: Sequence[Click], shape: tuple[int, ...]) -> np.ndarray:
    """The server's mask of some clicks, bool [i, j, k]."""
    image = f"&image={study['image']}" if "image" in study else ""
    files = {"file": study["file"]} if "file" in study else None
    params = {"prompts": [prompt_json(click) for click in clicks], "result_bits": True}
    form = {"params": json.dumps(params)}
    answer = requests.post(f"{url}/infer/{MODEL}?output=json{image}", data=form, files=files, timeout=600)
    (mask,) = read_prompts([{"type": "mask", **_asked(answer).json()["mask"]}])
    assert isinstance(mask, InitialMask)
    return mask.on(shape)


def train(url: str, windows: int, epochs: int) -> None:
    """One training on what was saved, to its end."""
    _asked(requests.post(f"{url}/train/{MODEL}", json={"windows": windows, "max_epochs": epochs}, timeout=600))
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        task = requests.get(f"{url}/train/", timeout=60).json()
        if task["status"] not in ("SUBMITTED", "RUNNING"):
            if task["status"] != "DONE":
                sys.exit(f"simulate_reader: a training ended with {task['status']}: {task['details'][-3:]}")
            time.sleep(3)  # the server takes better weights up by itself
            return
        time.sleep(1)
    sys.exit("simulate_reader: a training took more than an hour")


def targets_of(entry: Entry) -> list[tuple[str, np.ndarray, tuple[float, float, float]]]:
    """Name, mask and spacing of a study's targets: lesions first, at most `MOST_TARGETS`."""
    image = nib.load(entry.label)
    labels = np.asarray(image.dataobj)
    x, y, z = (float(mm) for mm in image.header.get_zooms()[:3])
    names = sorted(entry.label_names.items(), key=lambda item: (not item[1].startswith("lesion"), item[0]))
    found = [(name, labels == value, (x, y, z)) for value, name in names if (labels == value).sum() >= 10]
    return found[:MOST_TARGETS]


def write_results(folder: Path, sizes: dict[str, Any]) -> None:
    """steps.csv, curves.png and summary.md of the runs that are done."""
    rows = [Step(**row) for file in sorted(folder.glob("seed*/steps.json")) for row in json.loads(file.read_text())]
    if not rows:
        return
    with (folder / "steps.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    lines = ["| arm | runs | Dice@1 held out, before | after | clicks a target | seconds a click |", "|---" * 6 + "|"]
    for n, arm in enumerate(ARMS):
        runs = [[row for row in rows if (row.arm, row.seed) == (arm, seed)] for seed in sorted({r.seed for r in rows})]
        runs = [run for run in runs if run]
        if not runs:
            continue
        x = [step.studies for step in runs[0]]
        y = np.array([[step.dice for step in run] for run in runs])
        left.plot(x, y.mean(0), color=f"C{n}", marker="o", label=arm)
        left.fill_between(x, y.min(0), y.max(0), color=f"C{n}", alpha=0.12)
        right.plot(x, np.mean([[step.clicks for step in run] for run in runs], 0), color=f"C{n}", marker="o")
        last = [run[-1] for run in runs]
        per_target = np.array([step.clicks / step.targets for step in last])
        after = y[:, -1]
        cells = [
            f"{y[:, 0].mean():.3f}",
            f"{after.mean():.3f} ({after.min():.3f} to {after.max():.3f})",
            f"{per_target.mean():.2f} ({per_target.min():.2f} to {per_target.max():.2f})",
            f"{np.mean([step.seconds / step.clicks for step in last]):.2f}",
        ]
        lines.append(f"| {arm} | {len(runs)} | " + " | ".join(cells) + " |")
    left.set(xlabel="studies annotated", ylabel="Dice of one click, held out")
    right.set(xlabel="studies annotated", ylabel="clicks made")
    left.legend()
    figure.savefig(folder / "curves.png", dpi=120)
    said = ", ".join(f"{name} {value:g}" for name, value in sizes.items())
    lines += ["", f"Sizes: {said}. In brackets the lowest and highest run."]
    (folder / "summary.md").write_text("\n".join(lines) + "\n")


def _same_as_before(file: Path, sizes: dict[str, Any]) -> None:
    if file.exists() and json.loads(file.read_text()) != sizes:
        sys.exit(f"simulate_reader: {file.parent} holds runs of other sizes: choose another --output")
    file.write_text(json.dumps(sizes))


def _asked(answer: requests.Response) -> requests.Response:
    if not answer.ok:
        sys.exit(f"simulate_reader: {answer.request.method} {answer.url}: {answer.status_code} {answer.text[:300]}")
    return answer


if __name__ == "__main__":
    command.run(simulate_reader)
