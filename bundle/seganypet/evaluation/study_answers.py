"""A study's clicks answered as files: masks, DICOM SEG and SR, measures with their provenance, a picture."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from seganypet.clicks import Click
from seganypet.clicks.reading import prompt_json, read_prompts
from seganypet.data.kept_studies import identity_of
from seganypet.evaluation.picture import study_picture
from seganypet.evaluation.study_requests import StudyRequest, file_names
from seganypet.inference import ClickSegmenter
from seganypet.pet import (
    PetVolume,
    SegmentOrigin,
    Uptake,
    measure_uptake,
    write_mask_nifti,
    write_seg,
    write_sr,
)
from seganypet.whole_file import whole_file

ANSWER, PICTURE = "answer.json", "picture.png"
DICOM_SEG, DICOM_SR = "segmentation.dcm", "measurements.dcm"


def answer_study(
    segmenter: ClickSegmenter, volume: PetVolume, request: StudyRequest, folder: str | Path
) -> dict[str, Any]:
    """Segments what a request clicks and writes the answer into a folder.

    The folder gets a NIfTI mask per label, where the study is DICOM one SEG with all masks and an SR with their
    measures, a picture, and answer.json. All of it is written beside what the folder holds before it takes its place,
    answer.json last: where there is no room, or somebody stops it, what was there stays.

    Args:
        segmenter: answers the clicks.
        volume: the study, as read.
        request: label names and prompts.
        folder: made if need be.

    Returns:
        What answer.json holds: for each label its clicks, mask file, uptake measures, and seconds; where the SUV came
        from; which weights answered.

    Raises:
        ValueError: a click outside the volume, or two labels whose files would have one name.
        OSError: the folder cannot be written; it is named.
    """
    folder = Path(folder)
    files = {label: f"{name}.nii.gz" for label, name in file_names(request.targets).items()}
    answers = {label: segmenter.segment_with_details(volume, clicks) for label, clicks in request.targets.items()}
    masks = {label: mask for label, (mask, _) in answers.items()}
    uptakes = {label: measure_uptake(volume, mask) for label, mask in masks.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with _room_for(folder) as made:
        for label, mask in masks.items():
            write_mask_nifti(mask, volume, made / files[label])
        unavailable = _write_dicom(volume, masks, uptakes, made, segmenter.weights_hash)
        title = f"{request.image.name}, {sum(len(clicks) for clicks in request.targets.values())} clicks"
        marks = {label: [one for one in given if isinstance(one, Click)] for label, given in request.targets.items()}
        study_picture(volume, masks, made / PICTURE, clicks=marks, title=title)
        assert volume.suv_provenance is not None
        answer = {
            "study": str(request.image.resolve()),
            "files": _files(request),
            "asked": _asked(request),
            "series_uid": volume.source.series_uid if volume.source else None,
            "shape": list(volume.shape),
            "spacing_mm": list(volume.spacing_mm),
            "units": volume.units,
            "suv_provenance": volume.suv_provenance.to_dict(),
            "weights": _weights(segmenter),
            "targets": {
                label: {
                    "clicks": [prompt_json(click) for click in clicks],
                    "mask": files[label],
                    "uptake": uptakes[label].to_dict(),
                    "details": {name: value for name, value in asdict(answers[label][1]).items() if name != "box"},
                }
                for label, clicks in request.targets.items()
            },
            "dicom_seg": None if unavailable else DICOM_SEG,
            "dicom_seg_unavailable": unavailable,
            "dicom_sr": None if unavailable else DICOM_SR,
            "picture": PICTURE,
        }
        with whole_file(made / ANSWER) as draft:  # on the disk before it has its name
            draft.write_text(json.dumps(answer, indent=1))
        for name in (ANSWER, DICOM_SEG, DICOM_SR):
            (folder / name).unlink(missing_ok=True)
        for file in sorted(made.iterdir(), key=lambda file: file.name == ANSWER):
            file.replace(folder / file.name)
    return answer


@contextmanager
def _room_for(folder: Path) -> Iterator[Path]:
    """A hidden folder in `folder` to write into, gone afterwards; an error of the disk names `folder`."""
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as made:
            yield Path(made)
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(f"{error}: '{folder}'") from error  # a full disk says no name, and pydicom wraps what it says


def with_earlier_targets(request: StudyRequest, folder: str | Path) -> StudyRequest:
    """The request with the targets that a folder's answer holds besides: answered again, they stay beside the new ones.

    Raises:
        ValueError: the folder holds another study's answer, or one of this study that was read otherwise.
    """
    check_folder(request, folder)
    answer = _answer_in(folder)
    try:
        earlier = {label: tuple(read_prompts(target["clicks"])) for label, target in answer["targets"].items()}
        alike = answer["asked"] == _asked(request) and answer["files"] == _files(request)
    except (ValueError, KeyError, TypeError, AttributeError):  # none, or one that cannot be read
        return request
    if earlier.keys() <= request.targets.keys():
        return request
    if not alike:
        raise ValueError(
            f"{folder} holds the answer for another series, other units or other files of {request.image}; "
            "take another --output, or --overwrite"
        )
    return replace(request, targets={**earlier, **request.targets})


def check_folder(request: StudyRequest, folder: str | Path) -> None:
    """Raises ValueError where a folder holds another study's answer, which would be overwritten."""
    other = _answer_in(folder).get("study")
    if other is not None and Path(str(other)).resolve() != request.image.resolve():
        raise ValueError(f"{folder} holds the answer of {other}; take another --output, or --overwrite")


def _answer_in(folder: str | Path) -> dict[str, Any]:
    """The answer that a folder holds, empty where there is none that can be read."""
    try:
        answer = json.loads((Path(folder) / ANSWER).read_text())
    except (OSError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


def is_answered(segmenter: ClickSegmenter, request: StudyRequest, folder: str | Path) -> bool:
    """Whether a folder holds the answer of these weights to just this request, so that a stopped batch can go on.

    A study whose files were written again, with a corrected header for example, is not answered.
    """
    answer = _answer_in(folder)
    try:
        return bool(
            answer["study"] == str(request.image.resolve())
            and answer["files"] == _files(request)
            and answer["asked"] == _asked(request)
            and answer["weights"] == json.loads(json.dumps(_weights(segmenter)))
            and {label: target["clicks"] for label, target in answer["targets"].items()}
            == {label: [prompt_json(click) for click in clicks] for label, clicks in request.targets.items()}
        )
    except (OSError, ValueError, KeyError, TypeError):  # none, or one that cannot be read; or the study cannot
        return False


def _files(request: StudyRequest) -> list[list[Any]]:
    """Of every file of the study its path, bytes and nanoseconds."""
    return [list(file) for file in identity_of(request.image.resolve())["files"]]


def _weights(segmenter: ClickSegmenter) -> dict[str, Any]:
    return {"hash": segmenter.weights_hash, "settings": segmenter.settings.to_dict()}


def _asked(request: StudyRequest) -> dict[str, str | None]:
    """What a caller said of how the study is to be read; what came of it stands in the answer, too."""
    return {"series_uid": request.series_uid, "units": request.units}


def _write_dicom(
    volume: PetVolume, masks: dict[str, np.ndarray], uptakes: dict[str, Uptake], folder: Path, weights: str
) -> str | None:
    """Why there is no SEG and no SR; None where they are written."""
    found = {label: mask for label, mask in masks.items() if mask.any()}
    if volume.source is None or not volume.source.is_dicom:
        return "the study was not read from DICOM"
    if not found:
        return "every mask is empty"
    try:
        origins = {label: SegmentOrigin(weights=weights) for label in found}
        seg = write_seg(found, volume, folder / DICOM_SEG, origins=origins)
        write_sr(seg, [uptakes[label] for label in found], volume, folder / DICOM_SR)
    except ValueError as error:  # the mask is there; what the headers lack for a SEG is said beside it
        return str(error)
    return None
