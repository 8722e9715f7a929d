"""Dice and surface Dice after 1, 3 and 5 clicks on a data list, by lesion volume and situation, beside a 41 % region.

Each click is at the middle of the largest error; --reader box, lasso or scribble draws instead. With --together all
lesions of a study are one target, measured as in autoPET V: areas under Dice and under the lesions' detection.

python scripts/evaluate.py --data_list runs/phantoms/data_list.json --section validation --output runs/evaluation.json
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from command import run
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from seganypet.clicks.simulated_reader import READERS
from seganypet.data import read_data_list
from seganypet.data.data_list import SECTIONS
from seganypet.data.targets import known_names
from seganypet.evaluation.report import TargetResult, areas, as_rows, stability, summarise
from seganypet.evaluation.study_evaluator import StudyEvaluator

EMBEDDED_WEIGHTS = Path(__file__).resolve().parents[1] / "bundle" / "models" / "model.pt"


def evaluate(
    data_list: str,
    section: str = "validation",
    weights: str = str(EMBEDDED_WEIGHTS),
    output: str | None = None,
    clicks: int = 5,
    baselines: bool = True,
    leave_out: str | Sequence[str] = (),
    max_organs: int | None = None,
    device: str | None = None,
    rules: bool = True,
    reader: str = "click",
    together: bool = False,
    workers: int | None = None,
) -> None:
    """Evaluate weights on one section of a data list and print a table.

    Args:
        data_list: JSON file, see bundle/seganypet/data/data_list.py.
        section: training, validation or test.
        weights: model.pt or a released .pth.
        output: JSON file for every target's figures.
        clicks: per target.
        baselines: also run the region above 41 % of the SUVmax within 2 cm of the click, and the best threshold.
        leave_out: label names that are no targets, with commas between them.
        max_organs: at most so many organs of a study.
        device: cpu or cuda.
        rules: make answers obey their clicks; False evaluates the network's own.
        reader: click, box (and clicks after it), lasso or scribble.
        together: take all lesions of a study as one target and report how many were found, too, as autoPET V does.
        workers: processes that share the studies, by default one a core; 1 on a GPU.
    """
    if reader not in READERS:
        raise ValueError(f"--reader must be one of {', '.join(READERS)}, got {reader!r}")
    if section not in SECTIONS:
        raise ValueError(f"--section must be one of {', '.join(SECTIONS)}, got {section!r}")
    if clicks < 1:
        raise ValueError(f"--clicks must be 1 or more, got {clicks}")
    listed = read_data_list(data_list)
    entries = listed[section]
    if not entries:
        raise ValueError(f"{data_list} has no {section} entries")
    evaluator = StudyEvaluator(
        str(weights),
        device=device,
        rules=rules,
        clicks=clicks,
        baselines=baselines,
        leave_out=known_names(leave_out, listed.labels.values()),
        max_organs=max_organs,
        reader=reader,
        together=together,
    )
    evaluator.segmenter()  # bad weights are named before any process starts
    if output is not None:
        Path(output).parent.mkdir(parents=True, exist_ok=True)
        Path(output).touch()
    results: list[TargetResult] = []
    problems: list[str] = []
    answered = tqdm(evaluator.all(entries, workers), total=len(entries), unit="study")
    for entry, found in zip(entries, answered, strict=True):
        if isinstance(found, str):
            problems.append(f"{entry.image}: {found}")
        else:
            results += found
    if results:
        print(summarise(results, [k for k in (1, 3, 5) if k <= clicks]))
        print(f"\n{stability(results)}\n{areas(results)}")
    if output is not None:
        content = {"weights": str(weights), "reader": reader, "targets": as_rows(results), "problems": problems}
        Path(output).write_text(json.dumps(content, indent=1))
    if problems:
        raise ValueError(f"{len(problems)} of {len(entries)} studies could not be read:\n  " + "\n  ".join(problems))


if __name__ == "__main__":
    run(evaluate)
