"""Clicks organs and lesions of a whole-body PET through the real server, and leaves what a reader would want to see.

    python scripts/demo.py
    python scripts/demo.py --study PATH [--clicks clicks.json] [--output demo]

Without a study: the embedded phantom, written as a DICOM PET series; a simulated reader clicks each target's middle,
then the middle of the largest error, until the mask is good or three clicks are made. With one: the clicks of a JSON
file {"label": [{"ijk": [i, j, k], "positive": true}, …]}, or those of demo_clicks.json for the series it knows.
The output folder gets masks (NIfTI, and DICOM SEG for DICOM), picture.png, and answers.json; the table is printed.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import command
import nibabel as nib
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from demo_server import running_server  # beside this script

from seganypet.clicks import Click, centre_click
from seganypet.clicks.reading import read_prompts
from seganypet.data import make_phantom
from seganypet.data.json_file import read_json
from seganypet.evaluation.metrics import dice
from seganypet.evaluation.picture import study_picture
from seganypet.evaluation.study_requests import file_name
from seganypet.pet import PetVolume, read_pet, write_mask_nifti, write_pet_dicom_series, write_seg
from seganypet.pet.suffixes import ITK_SUFFIXES, NIFTI_SUFFIXES

ROOT = Path(__file__).resolve().parents[1]
MODEL = "seganypet"
PHANTOM_SEED = 28
PHANTOM_ORGANS = ("brain", "liver", "heart", "spleen", "kidney_left", "urinary_bladder")
PHANTOM_CLICKS = 3
GOOD_ENOUGH = 0.9
ENDINGS = (*NIFTI_SUFFIXES, *ITK_SUFFIXES)

NextClick = Callable[[int, np.ndarray], Click | None]  # (clicks made, mask so far) → the next click, None when done


@dataclass
class Answer:
    """One target: its clicks, its mask so far, what each click took and what the server said last."""

    mask: np.ndarray
    clicks: list[Click] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    dice: float | None = None


def demo(study: str | None = None, clicks: str | None = None, output: str = "demo", weights: str | None = None) -> None:
    """Click a study through the server and leave masks, a picture and a table.

    Args:
        study: DICOM folder or NIfTI file; the embedded phantom by default.
        clicks: JSON file of clicks for the study.
        output: folder for everything the demo leaves.
        weights: other weights than the embedded ones.
    """
    folder = Path(output).absolute()
    studies = folder / "studies"
    truth: dict[str, np.ndarray] = {}
    if study is None:
        name, truth = "phantom", write_phantom(studies / "phantom")
        readers: Mapping[str, NextClick] = {label: until_good(mask) for label, mask in truth.items()}
    else:
        name = copy_study(Path(study), studies)
        readers = {label: as_listed(made) for label, made in listed_clicks(Path(study), clicks).items()}
    volume = read_pet(studies / name)
    with running_server(ROOT / "apps" / "seganypet_label", studies, folder / "server.log", weights) as client:
        image_id = only_study(client, name)
        answers = {label: click_target(client, image_id, label, volume, reader) for label, reader in readers.items()}
    for label, mask in truth.items():
        answers[label].dice = dice(answers[label].mask, mask)
    results = folder / name
    leave(results, volume, answers)
    print(table(answers))
    print(f"\nmasks, picture.png and answers.json are in {results}")
    address = f"http://127.0.0.1:8000/read/{quote(image_id, safe='')}"
    print(f"to click yourself: make serve STUDIES={shlex.quote(str(studies))}, and in a browser {address}")


def write_phantom(folder: Path) -> dict[str, np.ndarray]:
    """Writes the embedded phantom as a DICOM series; its organs to click and its two largest lesions as masks."""
    phantom = make_phantom(PHANTOM_SEED)
    shutil.rmtree(folder, ignore_errors=True)
    write_pet_dicom_series(np.clip(phantom.suv, 0, None), phantom.affine, folder)
    lesions = [name for name in phantom.label_names.values() if name.startswith("lesion")]
    lesions.sort(key=lambda name: -int(phantom.mask(name).sum()))
    return {name: phantom.mask(name) for name in (*PHANTOM_ORGANS, *lesions[:2])}


def copy_study(study: Path, studies: Path) -> str:
    """The study's name under the studies folder, where it is copied, since a server writes labels beside it."""
    if not study.exists():
        raise FileNotFoundError(f"no study at {study}")
    name = study.name if study.is_file() else f"{study.resolve().parent.name}_{study.resolve().name}"
    target = studies / name
    if study.is_dir():
        shutil.copytree(study, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
    else:
        studies.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(study, target)
    return name


def listed_clicks(study: Path, path: str | None) -> dict[str, list[Click]]:
    """The clicks of a file, or those that demo_clicks.json holds for this series."""
    if path is not None:
        content = read_json(path, "file of clicks")
    else:
        source = read_pet(study).source
        known = json.loads((Path(__file__).parent / "demo_clicks.json").read_text())
        if source is None or source.series_uid not in known:
            raise ValueError(f"no clicks are known for {study}: name a file of them with --clicks")
        content = known[source.series_uid]
    if not isinstance(content, dict):
        raise ValueError(f'{path} must be an object as {{"liver": [{{"ijk": [120, 80, 45]}}]}}')
    made = {str(label): read_prompts(clicks) for label, clicks in content.items()}
    if not all(isinstance(one, Click) for prompts in made.values() for one in prompts):
        raise ValueError(f"{path} holds other prompts than clicks, which the demo does not make")
    return {label: [one for one in prompts if isinstance(one, Click)] for label, prompts in made.items()}


def as_listed(clicks: list[Click]) -> NextClick:
    return lambda made, mask: clicks[made] if made < len(clicks) else None


def until_good(truth: np.ndarray) -> NextClick:
    def next_click(made: int, mask: np.ndarray) -> Click | None:
        return None if made == PHANTOM_CLICKS or dice(mask, truth) >= GOOD_ENOUGH else centre_click(mask, truth)

    return next_click


def only_study(client: Any, name: str) -> str:
    """The server's id of the study just put there."""
    ids = [image for image in client.datastore()["objects"] if name in (image, *(image + end for end in ENDINGS))]
    if not ids:
        raise RuntimeError(f"the server does not list {name}; it lists {sorted(client.datastore()['objects'])}")
    return ids[0]


def click_target(client: Any, image_id: str, label: str, volume: PetVolume, next_click: NextClick) -> Answer:
    """Clicks one target until its reader is content."""
    answer = Answer(np.zeros(volume.shape, dtype=bool))
    while (click := next_click(len(answer.clicks), answer.mask)) is not None:
        answer.clicks.append(click)
        request = {
            "label": label,
            "foreground": [[round(n) for n in one.ijk] for one in answer.clicks if one.positive],
            "background": [[round(n) for n in one.ijk] for one in answer.clicks if not one.positive],
            "result_extension": ".nii.gz",
            "result_dtype": "uint8",
        }
        start = time.perf_counter()
        file, answer.params = client.infer(MODEL, image_id, request)
        answer.seconds.append(time.perf_counter() - start)
        answer.mask = read_mask(file)
    return answer


def read_mask(path: str) -> np.ndarray:
    """bool [i, j, k] of a file the client saved, which is removed."""
    mask = np.asarray(nib.load(path).dataobj) > 0
    Path(path).unlink()
    return mask


def leave(folder: Path, volume: PetVolume, answers: dict[str, Answer]) -> None:
    """Writes masks, DICOM SEG, picture and numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    masks = {label: answer.mask for label, answer in answers.items()}
    for label, mask in masks.items():
        write_mask_nifti(mask, volume, folder / f"{file_name(label)}.nii.gz")
    found = {label: mask for label, mask in masks.items() if mask.any()}
    if found and volume.source is not None and volume.source.is_dicom:
        write_seg(found, volume, folder / "segmentation.dcm")
    study_picture(
        volume, masks, folder / "picture.png", clicks={label: answer.clicks for label, answer in answers.items()}
    )
    numbers = {
        label: {
            "clicks": [{"ijk": click.ijk, "positive": click.positive} for click in answer.clicks],
            "seconds": answer.seconds,
            "dice": answer.dice,
            "answer": answer.params,
        }
        for label, answer in answers.items()
    }
    (folder / "answers.json").write_text(json.dumps(numbers, indent=1))


def table(answers: dict[str, Answer]) -> str:
    """One line a target."""
    with_truth = any(answer.dice is not None for answer in answers.values())
    head = f"{'target':<18}{'clicks':>7}{'first s':>9}{'next s':>9}{'mL':>9}{'SUVmax':>9}{'SUVmean':>9}{'SUVpeak':>9}"
    lines = [head + (f"{'Dice':>7}" if with_truth else "")]
    for label, answer in answers.items():
        later = f"{np.mean(answer.seconds[1:]):9.2f}" if len(answer.seconds) > 1 else f"{'–':>9}"
        numbers = "".join(number(answer.params.get(key)) for key in ("volume_ml", "suv_max", "suv_mean", "suv_peak"))
        line = f"{label:<18}{len(answer.clicks):>7}{answer.seconds[0]:9.2f}{later}{numbers}"
        lines.append(line + (f"{answer.dice:7.2f}" if answer.dice is not None else ""))
    return "\n".join(lines)


def number(value: float | None) -> str:
    return f"{value:9.1f}" if value is not None else f"{'–':>9}"


if __name__ == "__main__":
    command.run(demo)
