"""Train the strategies with paired seeds on phantoms with low-quality labels, and write the paper's Table 3.

    python scripts/ablation.py --output runs/ablation
    python scripts/ablation.py --output runs/ablation_organs --noise organs
    python scripts/ablation.py --output runs/ablation_expert --start expert
    python scripts/ablation.py --output runs/ablation_smoke --smoke

An arm is a strategy, and for CPCL a reading of its rectification too. Every arm goes on from one network: the embedded
weights, which are better than the low-quality labels, or one that was trained on the expert's few labels alone, which
is worse. What is compared is what each arm makes of the low-quality labels. Writes table.md, table.csv, table.png,
flips.png and rules.md: what other thresholds H and ways of flipping would have flipped. Run again, it goes on where it
stopped: finished runs are kept, a broken one continues from its last epoch; the table names what is not finished.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import command
import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from seganypet.data import load_studies, read_data_list, write_cohort, write_data_list
from seganypet.data.annotators import ANNOTATORS, write_low_quality
from seganypet.data.targets import is_lesion
from seganypet.evaluation.metrics import dice
from seganypet.evaluation.report import TargetResult, evaluate_study
from seganypet.evaluation.strategy_plots import plot_flips, plot_scores
from seganypet.evaluation.strategy_table import CLICKS, RunScore, as_markdown, write_csv
from seganypet.inference import ClickSegmenter
from seganypet.networks import load_network
from seganypet.training import ClickRollout, Rectification
from seganypet.training.flip_diagnostic import count_flips, draw_known_targets
from seganypet.training.rectification import LN2, READINGS

BUNDLE = Path(__file__).resolve().parents[1] / "bundle"
SEEN = ("liver", "kidney_left", "kidney_right", "heart", "spleen")
UNSEEN = ("aorta", "prostate", "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right",
          "lung_middle_lobe_right", "lung_lower_lobe_right")  # fmt: skip


# train.json has these for the other strategies alone: a mask or a drawing made of a low-quality label would echo it
SAME_PROMPTS = {
    "rollout#handover_share": 0.0,
    "close_up_share": 0.0,
    "rollout#drawn_share": 0.0,
    "rollout#mask_only_share": 0.0,
    "rollout#random_count": False,
    "rollout#gradient_share": 1.0,
}
START = "start"
STARTS = ("embedded", "expert")
EMBEDDED = BUNDLE / "models" / "model.pt"
ARMS = ("finetune", "consistency", *(f"cpcl {reading}" for reading in READINGS))  # eq. 5 to the letter: "uncertain"
RULE_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)  # of ln 2
FLIPPING = ("uncertain", "disagreeing", "confident")  # the readings that flip labels by rules of their own
RULE_TARGETS = 40


@dataclass(frozen=True)
class Stage:
    """How long one run trains, and how fast."""

    epochs: int
    windows_per_study: int
    learning_rate: float
    moving_average: float


@dataclass(frozen=True)
class Scale:
    """How large the ablation is; the full one takes some hours on two cores."""

    phantoms: int
    validation: int
    test: int
    seeds: int
    clicks: int
    start: Stage
    run: Stage
    voxel_size_mm: tuple[float, float, float] | None = None
    max_windows: int = 12  # that a target is followed through when scored; an untrained network fills them all


FULL = Scale(
    phantoms=46, validation=2, test=4, seeds=3, clicks=3, start=Stage(6, 10, 1e-3, 0.98), run=Stage(4, 2, 3e-4, 0.97)
)
SMOKE = Scale(
    6, 1, 1, seeds=1, clicks=2, start=Stage(1, 1, 1e-3, 0.9), run=Stage(1, 1, 3e-4, 0.9),
    voxel_size_mm=(8.0, 8.0, 8.0), max_windows=1,
)  # fmt: skip


def ablation(
    output: str = "runs/ablation",
    smoke: bool = False,
    start: str = "embedded",
    noise: str = "contours",
    strength: float = 1.0,
    low_quality_share: float = 0.9,
    arms: str | Sequence[str] = ARMS,
    threshold: float = 0.9,
    consistency: float = 0.1,
    seeds: int | None = None,
) -> None:
    """Run what is left of the ablation and write its table.

    Args:
        output: folder for cohort, runs and results.
        smoke: minutes instead of hours, to see that everything works; its figures mean nothing.
        start: "embedded", the embedded weights, or "expert", a network of its own that saw the expert's labels alone.
        noise: of the low-quality labels: "contours", a junior's, or "organs", whole ones unlabelled or mislabelled.
        strength: of the simulated annotators, 0 to 2; see `Annotator`.
        low_quality_share: of the training phantoms whose labels they redraw.
        arms: to run, of `ARMS`, by default all, with commas between them; more can be added to a folder later.
        threshold: H, as a share of ln 2.
        consistency: λ_max.
        seeds: paired runs of each arm, 3 by default; 0 stops after the start and rules.md.
    """
    chosen = arms.split(",") if isinstance(arms, str) else list(arms)
    for name, given, known in (("start", [start], STARTS), ("noise", [noise], ANNOTATORS), ("arms", chosen, ARMS)):
        if not set(given) <= set(known):
            sys.exit(f"ablation: --{name} takes {', '.join(known)}; got {', '.join(map(str, given))}")
    scale, folder = (SMOKE if smoke else FULL), Path(output).resolve()
    if seeds is not None:
        scale = replace(scale, seeds=seeds)
    method = {"rectification#threshold": threshold * LN2, "ramp#highest": consistency}
    labels = {"noise": noise, "strength": strength, "low_quality_share": low_quality_share}
    keep_settings(folder, {"smoke": smoke, "start": start} | labels | method)
    clean = write_cohort(
        folder / "cohort",
        scale.phantoms,
        validation=scale.validation,
        test=scale.test,
        voxel_size_mm=scale.voxel_size_mm,
    )
    noisy = folder / "low_quality" / "data_list.json"
    if not noisy.exists():  # written last, when all labels are there
        write_low_quality(clean, noisy.parent, share=low_quality_share, strength=strength, kind=noise)
    leave_out = sorted(organs(clean) - set(SEEN))
    first = folder / START
    if start == "expert":
        checked = write_checked(noisy, noisy.with_name("checked.json"))
        train(first, start_overlay(scale, checked, leave_out))
    elif not (first / "model.pt").exists():
        first.mkdir(exist_ok=True)
        shutil.copyfile(EMBEDDED, first / "model.pt")
    scores = score(first, START, 0, clean, scale.max_windows)
    write_rules(folder / "rules.md", first / "model.pt", noisy, clean, leave_out, scale.clicks)
    runs = [(seed, arm) for seed in range(scale.seeds) for arm in chosen]
    for number, (seed, arm) in enumerate(tqdm(runs, unit="run"), start=1):
        run = folder / f"{arm.replace(' ', '_')}_{seed}"
        overlay = run_overlay(scale, arm, seed, noisy, clean, leave_out, run, first / "model.pt")
        train(run, overlay | method)
        scores += score(run, arm, seed, clean, scale.max_windows)
        table = as_markdown(scores, (START, *chosen), reference=chosen[0])
        unfinished = ", ".join(f"{left} (seed {of})" for of, left in runs[number:])
        (folder / "table.md").write_text(
            header(scale, start, labels, threshold, chosen[0])
            + f"{table}\n"
            + (f"\nNot finished: {unfinished}.\n" if unfinished else "")
        )
        write_csv(scores, folder / "table.csv")
        plot_scores(scores, (START, *chosen), folder / "table.png")
        plot_flips(sorted(folder.glob("cpcl_*_*/flips.csv")), folder / "flips.png")
    if runs:
        print((folder / "table.md").read_text())


def header(scale: Scale, start: str, labels: dict[str, Any], threshold: float, reference: str) -> str:
    """What the table rests on."""
    training = scale.phantoms - scale.validation - scale.test
    begun = "the embedded weights" if start == "embedded" else "a network that saw the other labels alone"
    return (
        f"Dice in per cent on {scale.test} test phantoms, mean ± standard deviation over {scale.seeds} paired seed(s). "
        f"{training} training phantoms, the labels of {labels['low_quality_share']:.0%} of them by simulated "
        f"annotators ({labels['noise']}) of strength {labels['strength']:g}. Every run goes on from `{START}`, "
        f"{begun}, for {scale.run.epochs} epochs; H = {threshold:g} ln 2. Below, the paired differences from "
        f"`{reference}` with their 95 % confidence intervals.\n\n"
    )


def keep_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Notes what the folder's runs have in common; ends where they were started with something else."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "settings.json"
    if kept.exists() and (before := json.loads(kept.read_text())) != settings:
        changed = [f"{key} {before.get(key)} → {value}" for key, value in settings.items() if before.get(key) != value]
        sys.exit(f"ablation: {folder} holds runs of other settings ({', '.join(changed)}); take another --output")
    kept.write_text(json.dumps(settings, indent=1))


def organs(clean: Path) -> set[str]:
    """The names of a cohort's targets that are no lesions."""
    return {name for name in read_data_list(clean).labels.values() if not is_lesion(name)}


def write_checked(noisy: Path, path: Path) -> Path:
    """The data list of the high-quality entries alone."""
    entries = read_data_list(noisy)
    checked = [entry for entry in entries.training if entry.quality == "high"]
    return write_data_list(path, {"training": checked, "validation": entries.validation})


def start_overlay(scale: Scale, checked: Path, leave_out: list[str]) -> dict[str, Any]:
    """What the common start changes in train.json."""
    return {
        "data_lists": [str(checked)],
        "seed": 0,
        "strategy": "finetune",
        "leave_out": leave_out,
        "batch_size": 1,
        **stage_overlay(scale.start),
    }


def stage_overlay(stage: Stage) -> dict[str, Any]:
    """A stage's keys of train.json. Validated at the end only: nothing is picked by it."""
    return {
        "epochs": stage.epochs,
        "validate_every": stage.epochs,
        "windows_per_study": stage.windows_per_study,
        "learning_rate": stage.learning_rate,
        "moving_average": stage.moving_average,
    }


def run_overlay(
    scale: Scale,
    arm: str,
    seed: int,
    noisy: Path,
    clean: Path,
    leave_out: list[str],
    run: Path,
    start: Path,
) -> dict[str, Any]:
    """What an arm's run changes in train.json; CPCL's also looks at its flips."""
    strategy, _, reading = arm.partition(" ")
    overlay: dict[str, Any] = {
        "data_lists": [str(noisy)],
        "seed": seed,
        "strategy": strategy,
        "weights": str(start),
        "leave_out": leave_out,
        "targets_per_window": 1,
        "clicks": scale.clicks,
        **SAME_PROMPTS,
        **stage_overlay(scale.run),
    }
    if reading:
        overlay["reading"] = reading
        overlay["+train#handlers"] = [
            {
                "_target_": "seganypet.training.FlipDiagnostic",
                "noisy": "@train#studies",
                "clean": {
                    "_target_": "seganypet.data.load_studies",
                    "data_lists": [str(clean)],
                    "section": "training",
                    "settings": "$@network_def.settings",
                    "leave_out": leave_out,
                },
                "settings": "$@network_def.settings",
                "rollout": "@validate#rollout",
                "rectification": "@rectification",
                "path": str(run / "flips.csv"),
            }
        ]
    return overlay


def train(run: Path, overlay: dict[str, Any]) -> None:
    """One run of train.json; does nothing where it is done."""
    if (run / "done").exists():
        return
    run.mkdir(parents=True, exist_ok=True)
    overlay = overlay | {"run_dir": str(run), "resume": str(run) if (run / "checkpoint.pt").exists() else None}
    (run / "overlay.json").write_text(json.dumps(overlay, indent=1))
    configs = [str(BUNDLE / "configs" / "train.json"), str(run / "overlay.json")]
    words = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", str(configs)]
    with (run / "log.txt").open("a") as log:
        finished = subprocess.run(words, cwd=BUNDLE, stdout=log, stderr=subprocess.STDOUT)
    if finished.returncode != 0:
        sys.exit(f"ablation: {run.name} failed; see {run / 'log.txt'}")
    (run / "done").touch()


def score(run: Path, arm: str, seed: int, clean: Path, max_windows: int) -> list[RunScore]:
    """The run's Dice on seen and unseen organs and lesions of the test phantoms; kept in its folder."""
    kept = run / "scores.json"
    if kept.exists():
        return [RunScore(**{**row, "dice": tuple(row["dice"])}) for row in json.loads(kept.read_text())]
    cohort = read_data_list(clean)
    others = organs(clean) - {*SEEN, *UNSEEN}
    segmenter = ClickSegmenter(load_network(run / "model.pt"), max_windows=max_windows)
    results: dict[str, list[TargetResult]] = {}
    for entry in cohort.test:
        for result in evaluate_study(segmenter, entry, clicks=max(CLICKS), baselines=False, leave_out=others):
            group = "lesions" if result.lesion else "seen" if result.label in SEEN else "unseen"
            results.setdefault(group, []).append(result)
    scores = []
    for group, members in sorted(results.items()):
        one, three, five = (float(np.mean([member.dice[click - 1] for member in members])) for click in CLICKS)
        scores.append(RunScore(arm, seed, group, (one, three, five)))
    kept.write_text(json.dumps([vars(one) for one in scores]))
    return scores


def write_rules(path: Path, weights: Path, noisy: Path, clean: Path, leave_out: list[str], clicks: int) -> None:
    """A table of what each rule of rectification flips on low-quality organs, as the common start sees them."""
    if path.exists():
        return
    net = load_network(weights)
    labels = [load_studies([data_list], "training", net.settings, leave_out=leave_out) for data_list in (noisy, clean)]
    targets = draw_known_targets(*labels, net.settings, net.window_size, most=RULE_TARGETS)
    rules = [(share, flip) for flip in FLIPPING for share in RULE_SHARES]
    rectifications = [Rectification(threshold=share * LN2, reading=flip) for share, flip in rules]
    counts = count_flips(ClickRollout(net, clicks=clicks), targets, rectifications)
    label_dice = [dice(target.noisy.numpy(), target.clean.numpy()) for target in targets]
    lines = [
        f"On {len(targets)} low-quality organs, whose labels have a mean Dice of {np.mean(label_dice):.2f} to the "
        f"truth and {counts[0, 2]} wrong voxels.",
        "",
        "| flip | H / ln 2 | voxels flipped | of these, corrected | of the wrong, corrected | wrong afterwards |",
        "|---|---|---|---|---|---|",
    ]
    for (share, flip), (flipped, corrected, wrong) in zip(rules, counts.tolist(), strict=True):
        left = wrong - corrected + (flipped - corrected)
        lines.append(
            f"| {flip} | {share:g} | {flipped} | {corrected / max(flipped, 1):.2f} | {corrected / max(wrong, 1):.2f} | "
            f"{left / max(wrong, 1):.2f} of before |"
        )
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    command.run(ablation)
