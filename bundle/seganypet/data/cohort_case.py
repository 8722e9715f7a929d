"""One phantom of a cohort on disk."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from seganypet.data.phantoms import LabelMap, Phantom, make_label_map_phantom, make_phantom, paste_crop
from seganypet.data.phantoms.anatomy import UPTAKES
from seganypet.data.phantoms.lesion_maps import LesionMap
from seganypet.data.phantoms.options import Options
from seganypet.data.phantoms.pasting import NoRoomError
from seganypet.data.phantoms.truth_habits import contour_by_habit
from seganypet.whole_file import whole_file

GENERATION = 13
"""Raised when the same seed gives other voxels than before, so that cohorts on disk are made anew."""

PATIENTS_TRIED = 3  # for a crop that is too large for some
IMAGE, LABELS, RECORD = "suv.nii.gz", "labels.nii.gz", "phantom.json"


@dataclass(frozen=True)
class Case:
    """All that decides one phantom's files.

    Args:
        folder: where they go.
        seed: of the cohort.
        number: of the phantom in it.
        voxel_size_mm: None for a clinical scanner's.
        lesion_count: None for 2 to 16.
        label_map: organ label map to build on, as `LabelMap.to_json` gives it; None for procedural anatomy.
        crop: real tumour to paste, {"image", "label", "values"}, or None.
        lesion_shapes: the `LesionMap`s (as `to_json` gives them) to take lesions' shapes from.
        brain_pattern: of a real brain, or None.
        other_tracers: probability of a tracer other than FDG.
        region_mm: side of the cube that is kept, None for the whole scan.
        faint_share: how many of the small lesions are faint and even.
        truth_habits: whether lesions are outlined by a reader's habit.
    """

    folder: str
    seed: int
    number: int
    voxel_size_mm: list[float] | None
    lesion_count: int | None
    label_map: dict[str, Any] | None
    crop: Mapping[str, Any] | None
    lesion_shapes: list[dict[str, Any]] = field(default_factory=list)
    brain_pattern: str | None = None
    other_tracers: float = 0.0
    region_mm: float | None = None
    faint_share: float = 0.0
    truth_habits: bool = False

    def made_with(self) -> dict[str, Any]:
        """What a record of this case must say for its files to be kept."""
        return {key: value for key, value in asdict(self).items() if key != "folder"} | {"generation": GENERATION}

    def targets(self) -> dict[int, str] | None:
        """Names of the targets, if the case is complete on disk and made with these very parameters; else None."""
        folder = Path(self.folder)
        try:
            record = json.loads((folder / RECORD).read_text())
            same = record["made_with"] == self.made_with()
            names = {int(value): str(name) for value, name in record["target_names"].items()}
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return None
        return names if same and (folder / IMAGE).is_file() and (folder / LABELS).is_file() else None


def write_case(case: Case) -> None:
    """Make a phantom and write it; its record comes last, so that a case without one is not finished."""
    folder = Path(case.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    phantom = _phantom(case)
    record = {
        "made_with": case.made_with(),
        "label_names": phantom.label_names,
        "target_names": phantom.target_names,
        "patient": asdict(phantom.patient) if phantom.patient else None,
        "scanner": asdict(phantom.scanner) if phantom.scanner else None,
        "tracer": phantom.tracer,
        "lesions": [asdict(lesion) for lesion in phantom.lesions],
    }
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
        made = Path(scratch)
        phantom.save(made / IMAGE, made / LABELS)
        (made / RECORD).write_text(json.dumps(record, indent=1))
        for name in (IMAGE, LABELS, RECORD):  # the record last: a case counts once it is there
            with whole_file(folder / name) as draft:
                shutil.copyfile(made / name, draft)


def _phantom(case: Case) -> Phantom:
    """The case's phantom; where its crop finds no room, in another patient, and after some of them without the crop."""
    rng = np.random.default_rng([case.seed, case.number])
    if case.crop is None:
        phantom = _patient(case, rng, case.voxel_size_mm)
        return contour_by_habit(phantom, rng) if case.truth_habits else phantom
    image: Any = nib.load(case.crop["image"])
    label: Any = nib.load(case.crop["label"])
    mask = np.isin(np.asarray(label.dataobj), case.crop["values"])
    size = case.voxel_size_mm or [float(step) for step in image.header.get_zooms()[:3]]
    for _ in range(PATIENTS_TRIED):
        phantom = _patient(case, rng, size)
        try:
            return paste_crop(phantom, image.get_fdata(dtype=np.float32), mask, image.affine, rng)
        except NoRoomError:
            continue
    return phantom


def _patient(case: Case, rng: np.random.Generator, size: Any) -> Phantom:
    tracer = "fdg"
    if case.other_tracers and rng.random() < case.other_tracers:
        tracer = str(rng.choice([name for name in UPTAKES if name != "fdg"]))
    shapes = tuple(LesionMap.from_json(one) for one in case.lesion_shapes)
    options = Options(tracer, case.brain_pattern, shapes, case.region_mm, case.faint_share)
    if case.label_map is None:
        return make_phantom(rng, voxel_size_mm=size, lesion_count=case.lesion_count, options=options)
    source = LabelMap.from_json(case.label_map)
    return make_label_map_phantom(
        source.path,
        source.names,
        rng,
        ct_path=source.ct,
        map_spacing_mm=source.spacing_mm,
        voxel_size_mm=size,
        lesion_count=case.lesion_count,
        options=options,
    )


def serve() -> None:
    """Make phantoms for another process: a case as a line of JSON on standard input, its folder on standard output.

    A process started for this needs nothing of the caller's own script, and is no fork of one that holds torch's
    threads; multiprocessing gives one or the other.
    """
    for line in sys.stdin:
        case = Case(**json.loads(line))
        write_case(case)
        print(case.folder, flush=True)
