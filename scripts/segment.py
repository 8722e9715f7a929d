"""Segments what is clicked in a study, or in every study of a list.

    python scripts/segment.py --study PATH --clicks 120,80,45 --label liver --output out
    python scripts/segment.py --study PATH --clicks "[[120,80,45],[110,82,47]]" --negative 90,80,45 --output out
    python scripts/segment.py --studies list.json --output out

PATH is a NIfTI file or a DICOM folder; clicks are voxel indices (i, j, k) as nibabel indexes the volume. Each study's
folder under --output gets a NIfTI mask per label, where the study is DICOM a DICOM SEG and an SR with its measures,
picture.png, and answer.json with volume, SUV measures, where the SUV came from, and seconds. Another --label of the
study goes beside those that are there. A list is
[{"image": PATH, "label_name": "liver", "clicks": [{"ijk": [120, 80, 45], "positive": true}]}, …], paths relative to it;
run again, it goes on where it stopped.
"""

import sys
from dataclasses import replace
from pathlib import Path

import command
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from seganypet.clicks.prompts import selects
from seganypet.clicks.reading import read_prompts_as_typed
from seganypet.evaluation.study_answers import answer_study, check_folder, is_answered, with_earlier_targets
from seganypet.evaluation.study_requests import DEFAULT_LABEL, StudyRequest, read_study_requests, study_names
from seganypet.inference import ClickSegmenter
from seganypet.networks import load_network
from seganypet.pet import read_pet

EMBEDDED_WEIGHTS = Path(__file__).resolve().parents[1] / "bundle" / "models" / "model.pt"


def segment(
    study: str | None = None,
    clicks: object = None,
    negative: object = None,
    label: str = DEFAULT_LABEL,
    studies: str | None = None,
    output: str = "segmentation",
    weights: str = str(EMBEDDED_WEIGHTS),
    device: str | None = None,
    series_uid: str | None = None,
    units: str | None = None,
    overwrite: bool = False,
) -> None:
    """Segments what is clicked and writes masks, measures and a picture.

    Args:
        study: NIfTI file or DICOM folder.
        clicks: positive clicks: i,j,k or a list of them, or a JSON file of clicks and other prompts (boxes, scribbles,
            lassos, a mask), see `read_prompts_as_typed`; may hold negative ones, {"ijk": [i, j, k], "positive": false}.
        negative: negative clicks likewise, made after the others.
        label: name of what is clicked.
        studies: a data list with clicks, instead of --study.
        output: folder for the answers, one folder a study.
        weights: model.pt, or a released .pth.
        device: cpu or cuda; cuda where there is one.
        series_uid: which series, where a DICOM folder holds several.
        units: SUVbw, BQML or kBq/mL, where a NIfTI file does not say.
        overwrite: answer again what is answered, and put nothing beside what is there.
    """
    if (study is None) == (studies is None):
        raise ValueError("give either --study with --clicks, or --studies")
    if studies is not None:
        requests, problems = read_study_requests(str(studies))
    else:
        given = (*read_prompts_as_typed(clicks), *read_prompts_as_typed(negative, positive=False))
        if not selects(given):
            raise ValueError("give at least one positive click with --clicks i,j,k")
        requests, problems = [StudyRequest(Path(str(study)), {str(label): given})], []
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    segmenter = ClickSegmenter(load_network(str(weights)), device=chosen)
    names = study_names(request.image for request in requests)
    requests = [replace(request, series_uid=series_uid, units=units) for request in requests]
    for request in tqdm(requests, unit="study", disable=len(requests) < 2):
        folder = Path(str(output)) / names[request.image]
        try:
            if study is not None and not overwrite:
                request = with_earlier_targets(request, folder)
            elif not overwrite:
                check_folder(request, folder)
            if overwrite or not is_answered(segmenter, request, folder):
                volume = read_pet(request.image, series_uid=request.series_uid, units=request.units)
                _report(answer_study(segmenter, volume, request, folder), folder)
        except Exception as error:  # one study must not end the others; all problems are listed at the end
            problems.append(f"{request.image}: {error if isinstance(error, ValueError | OSError) else repr(error)}")
    if problems:
        sys.exit(f"{len(problems)} problem(s):\n  " + "\n  ".join(problems))


def _report(answer: dict, folder: Path) -> None:
    for target in answer["targets"].values():
        uptake = target["uptake"]
        suv = uptake["suv_unavailable"] or (
            "empty" if uptake["suv_max"] is None else f"SUV max {uptake['suv_max']:.2f}, mean {uptake['suv_mean']:.2f}"
        )
        seconds = target["details"]["total_s"]
        tqdm.write(f"{folder / target['mask']}: {uptake['volume_ml']:.2f} mL, {suv}; {seconds:.2f} s")
    if answer["series_uid"] is not None and answer["dicom_seg"] is None:
        tqdm.write(f"{folder}: no DICOM SEG: {answer['dicom_seg_unavailable']}")


if __name__ == "__main__":
    command.run(segment)
