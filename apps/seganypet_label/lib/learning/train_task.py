"""Training on what readers saved: "Update Model" in OHIF, "Train" in 3D Slicer, POST /train/{model}."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.utils.async_tasks.utils import processes

from lib.clicks.weights import FileState
from lib.learning.train_settings import TrainSettings
from lib.learning.trained_weights import publish, trained_file
from lib.learning.training_data import TrainingData, gather, patients_of, too_few, without_experts
from lib.learning.training_run import REPORT, TrainingFailedError, run_training
from lib.store.bad_request import BadRequest
from lib.store.datastore import StudyStore
from lib.store.kept_files import PRIVATE, keep
from seganypet.evaluation.strategy_table import paired_interval
from seganypet.inference import weights_hash
from seganypet.networks import load_network

logger = logging.getLogger(__name__)

RESULT = "result.json"  # there once a run has ended, and was not stopped
SCRATCH = ("checkpoint.pt", "prepared")  # of a run, of no use once it has ended
WEIGHTS_IN_FORCE = "weights_in_force"
SURE = 0.9  # of the gain's interval, whose lower limit has 5 % below it
VALIDATION_WINDOWS = 32  # at most, in each of max_epochs + 1 validations, as long as there are not more studies


class UpdateModel(TrainTask):
    """Goes on from the weights in force with the labels of the datastore, and publishes what is better.

    No training code: the bundle's train.json runs in a process of its own. In a run's folder, .seganypet/runs/<time>,
    stay its data list, the labels it saw, overlay, log, TensorBoard, model.pt and result.

    Args:
        store: the labels.
        bundle: the bundle's folder.
        device: where to train.
        models: under which names clients know the model.
    """

    def __init__(self, store: StudyStore, bundle: Path, device: str, models: tuple[str, ...]) -> None:
        super().__init__("Go on from the weights in force with the labels that readers saved")
        self._store, self._bundle, self._device, self._models = store, bundle, device, models
        self.runs = store.root / PRIVATE / "runs"

    def config(self) -> dict[str, Any]:
        return dataclasses.asdict(TrainSettings())

    def stats(self) -> dict[str, Any]:
        """How far the newest run is, or what it came to, in the words that Slicer's and OHIF's bars read."""
        for folder in sorted(self.runs.glob("2*"), reverse=True):
            report, result = _read(folder / REPORT), _read(folder / RESULT)
            if result or (report and processes("train")):
                found = report.get("validation") or {}  # a run may fail before there is one
                stats = {"run": folder.name, "epoch": report.get("epoch", 0), "total_epochs": report.get("epochs", 0)}
                stats |= {"best_metric": found.get("best") or 0, "start_metric": found.get("start")}
                return stats | ({"total_time": result["seconds"], **result} if result else {})
        return {}

    def check(self, request: Mapping[str, Any]) -> None:
        """Refuse what cannot be trained before a process is started.

        Raises:
            BadRequest: a key or value that cannot be, too few labels, or a folder that takes no weights.
        """
        settings = TrainSettings.from_request(request, self._models)
        self._store.check_writable("a run and its weights")
        labelled = self._store.get_labeled_images()
        problem = too_few(patients_of(self._store, labelled), settings)
        problem = problem or without_experts(self._store, labelled, settings)
        if problem:
            raise BadRequest(problem)

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any]:
        """Train and publish, in the process that MONAI Label started for it.

        Raises:
            ValueError: nothing to train on.
            TrainingFailedError: the run failed.
        """
        settings = TrainSettings.from_request(request, self._models)
        self.runs.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.runs / ".lock", timeout=0):
                self._tidy()
                folder = self.runs / time.strftime("%Y%m%d-%H%M%S")
                folder.mkdir()
                try:
                    data = gather(self._store, settings, folder)
                except ValueError:
                    shutil.rmtree(folder)
                    raise
                begun = time.monotonic()
                try:
                    return self._run(settings, data, Path(request[WEIGHTS_IN_FORCE]), folder)
                except Exception as error:
                    said = f"failed: {str(error).splitlines()[-1] if str(error) else repr(error)}"
                    _keep_result({"outcome": said}, begun, folder)
                    raise
                finally:
                    self._tidy()
        except Timeout:
            raise TrainingFailedError(f"another server is training in {self.runs}") from None

    def _run(self, settings: TrainSettings, data: TrainingData, start: Path, folder: Path) -> dict[str, Any]:
        begun = time.monotonic()
        before, network = self._in_force(start), load_network(start)  # read now: a roll back may take the file away
        overlay = _overlay(settings, data, start, folder, self._device)
        overlay["architecture"] = network.settings.architecture
        print(
            f"{settings.strategy}: {len(data.training)} entries, {len(data.validation)} held out, {folder}", flush=True
        )
        report = run_training(self._bundle, folder, overlay, lambda line: print(line, flush=True))
        found = report["validation"]
        result = {
            "strategy": settings.strategy,
            "training": len(data.training),
            "validation": len(data.validation),
            "left_out": [f"{one.study}: {one.text}" for one in data.left_out],
            "judged_on": "labels held out" if data.validation else "the labels trained on, none being held out",
            "dice_before": found["start"],
            "dice_after": found["best"] if found["best_epoch"] else None,
            "weights_before": weights_hash(network),
            "settings": dataclasses.asdict(settings),
        }
        refusal = why_not_published(found, settings, held_out=bool(data.validation))
        if refusal:
            result["outcome"] = f"not published: {refusal}"
        elif self._in_force(start) != before:
            result["outcome"] = "not published: other weights came into force meanwhile"
        else:
            publish(folder / "model.pt", self._store.root)
            result |= {"outcome": "published", "weights": weights_hash(load_network(folder / "model.pt"))}
        _keep_result(result, begun, folder)
        after = f", {found['best']:.4f} after" if found["best_epoch"] else ""
        print(f"{result['outcome']}; Dice {found['start']:.4f} before{after}", flush=True)
        return result

    def _in_force(self, start: Path) -> list[FileState | None]:
        files = (start, trained_file(self._store.root))
        return [FileState.of(file) if file.is_file() else None for file in files]

    def _tidy(self) -> None:
        """Remove what ended runs do not need, those that were killed included."""
        for name in SCRATCH:
            for left in self.runs.glob(f"*/{name}"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _keep_result(result: dict[str, Any], begun: float, folder: Path) -> None:
    result["seconds"] = round(time.monotonic() - begun, 1)
    keep(json.dumps(result, indent=1).encode(), folder / RESULT)


def why_not_published(found: Mapping[str, Any], settings: TrainSettings, *, held_out: bool) -> str:
    """Why a run's weights do not take the place of those in force; "" where they do.

    The best of a few epochs on a few labels is better by chance alone: it must be better by a margin, by more than
    chance gives the same targets, and on labels that were not trained on.

    Args:
        found: the report's "validation": Dice at the start, the best, and its epoch, 0 where none was better.
        settings: of the run.
        held_out: whether it was judged on labels held out.
    """
    if found["best_epoch"] == 0:
        return "no better than the weights in force"
    if not held_out and not settings.publish_unproven:
        return "no label was held out to judge on; ask for publish_unproven, or label more studies"
    gain = float(found["best"]) - float(found["start"])
    if gain < settings.margin:
        return f"Dice grew by {gain:.4f}, less than the margin of {settings.margin:g}"
    _, lowest, _ = paired_interval(found["start_of_each"], found["best_of_each"], level=SURE)
    if held_out and not lowest > 0:  # one target alone has no interval
        targets = len(found["start_of_each"])
        return f"Dice grew by {gain:.4f} over {targets} target(s) held out, as it does by chance: label more studies"
    return ""


def _overlay(settings: TrainSettings, data: TrainingData, start: Path, folder: Path, device: str) -> dict[str, Any]:
    """What the run changes in train.json."""
    data_list = data.write(folder / "data_list.json")
    windows = settings.windows_per_study(len(data.training))
    iterations = settings.max_epochs * windows * len(data.training)
    judged_on = data.validation or data.training
    validated = min(settings.windows, VALIDATION_WINDOWS) // len(judged_on)
    return {
        "device": f"$torch.device({device!r})",
        "weights": start,
        "data_lists": [data_list],
        "leave_out": [],
        "cache_dir": folder / "prepared",
        "strategy": settings.strategy,
        "epochs": settings.max_epochs,
        "windows_per_study": windows,
        "batch_size": 1,
        "learning_rate": settings.learning_rate,
        "warmup_iterations": max(1, iterations // 10),
        "moving_average": min(0.995, max(0.5, 1 - 5 / iterations)),
        "validate_every": 1,
        "validate_start": True,
        "validate#studies#section": "validation" if data.validation else "training",
        "validate#dataset#windows_per_study": max(1, validated),
    }


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content
