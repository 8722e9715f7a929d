"""Dice and surface Dice after 1, 3 and 5 clicks on a data list, by lesion volume and situation, beside a 41 % region.

Each click is at the middle of the largest error; --reader box, lasso or scribble draws instead. With --together all
lesions of a study are one target, measured as in autoPET V: areas under Dice and under the lesions' detection.

python scripts/evaluate.py --data_list runs/phantoms/data_list.json --section validation --output runs/evaluation.json
"""

import json
import sys
from pathlib import Path

import fire
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from seganypet.clicks.simulated_reader import READERS
from seganypet.data import read_data_list
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
    leave_out: tuple[str, ...] = (),
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
        leave_out: label names that are no targets.
        max_organs: at most so many organs of a study.
        device: cpu or cuda.
        rules: make answers obey their clicks; False evaluates the network's own.
        reader: click, box (and clicks after it), lasso or scribble.
        together: take all lesions of a study as one target and report how many were found, too, as autoPET V does.
        workers: processes that share the studies, by default one a core; 1 on a GPU.
    """
    try:
        if reader not in READERS:
            raise ValueError(f"--reader must be one of {', '.join(READERS)}, got {reader!r}")
        entries = read_data_list(data_list)[section]
        evaluator = StudyEvaluator(
            weights,
            device=device,
            rules=rules,
            clicks=clicks,
            baselines=baselines,
            leave_out=tuple(leave_out),
            max_organs=max_organs,
            reader=reader,
            together=together,
        )
        evaluator.segmenter()  # bad weights are named before any process starts
    except (ValueError, KeyError, FileNotFoundError) as error:
        sys.exit(f"evaluate: {error}")
    if not entries:
        sys.exit(f"evaluate: {data_list} has no {section} entries")
    results: list[TargetResult] = []
    for found in tqdm(evaluator.all(entries, workers), total=len(entries), unit="study"):
        results += found
    print(summarise(results, [k for k in (1, 3, 5) if k <= clicks]))
    print(f"\n{stability(results)}\n{areas(results)}")
    if output is not None:
        Path(output).parent.mkdir(parents=True, exist_ok=True)
        Path(output).write_text(
            json.dumps({"weights": str(weights), "reader": reader, "targets": as_rows(results)}, indent=1)
        )


if __name__ == "__main__":
    fire.Fire(evaluate)
