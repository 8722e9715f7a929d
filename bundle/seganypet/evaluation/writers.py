"""What the bundle's evaluators leave on disk: masks with their measures, and a report of Dice per click."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys

from seganypet.clicks.reading import prompt_json
from seganypet.evaluation.metrics import dice_per_click
from seganypet.evaluation.report import TargetResult, as_rows, summarise
from seganypet.evaluation.study_requests import file_names, study_names
from seganypet.pet import measure_uptake, write_mask_nifti

logger = logging.getLogger(__name__)

ANSWERS, REPORT = "answers.json", "evaluation.json"


class MaskWriter:
    """Writes each answer of an evaluator on `ClickedStudies`, `<study>/<label>.nii.gz`, and answers.json.

    Args:
        folder: for the masks.

    Raises:
        ValueError: when it starts, two labels of a study whose files would have one name.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.answers: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        labels: dict[Path, list[str]] = {}
        for path, label, _ in engine.data_loader.dataset.items:  # type: ignore[attr-defined]
            labels.setdefault(path, []).append(label)
        folders = study_names(labels)
        self.paths = {
            (path, label): self.folder / folders[path] / f"{name}.nii.gz"
            for path in labels
            for label, name in file_names(labels[path]).items()
        }
        self.answers = []

    def __call__(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        columns = (batch["name"], batch["label_name"], batch["clicks"], batch["volume"], output[CommonKeys.PRED])
        for name, label, clicks, volume, prediction in zip(*columns, strict=True):
            mask = prediction[0].cpu().numpy() > 0
            path = write_mask_nifti(mask, volume, self.paths[Path(name), label])
            answer = {
                "image": name,
                "label_name": label,
                "clicks": [prompt_json(click) for click in clicks],
                "mask": path.relative_to(self.folder).as_posix(),
                "uptake": measure_uptake(volume, mask).to_dict(),
                "suv_provenance": volume.suv_provenance.to_dict(),
            }
            self.answers.append(answer)

    def finish(self, engine: Engine) -> None:
        (self.folder / ANSWERS).write_text(json.dumps(self.answers, indent=1))


class ReportWriter:
    """Writes Dice per click of every target of an evaluator on `LabelledTargets`, and logs the table of means.

    Args:
        folder: gets evaluation.json.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.results: list[TargetResult] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        self.results = []

    def __call__(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        curves = dice_per_click(output[CommonKeys.PRED], output[CommonKeys.LABEL])[:, 0]
        columns = (batch["name"], batch["label_name"], batch["lesion"], batch["volume"], batch["target"], curves)
        for name, label, lesion, volume, target, curve in zip(*columns, strict=True):
            voxels = int(target.sum())
            volume_ml = voxels * volume.voxel_volume_ml
            self.results.append(TargetResult(name, label, bool(lesion), volume_ml, curve.tolist(), voxels=voxels))

    def finish(self, engine: Engine) -> None:
        count = len(self.results[0].dice)
        logger.info("\n%s", summarise(self.results, sorted({1, min(3, count), count})))
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / REPORT).write_text(json.dumps({"targets": as_rows(self.results)}, indent=1))
