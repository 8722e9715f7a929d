"""A procedural whole-body FDG PET phantom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel as nib
import numpy as np

from seganypet.data.phantoms.anatomy import CONTEXT_NAMES, FIRST_LESION, LABELS, UPTAKES, VALUES, draw_uptakes
from seganypet.data.phantoms.body import Body
from seganypet.data.phantoms.brain_pattern import paint_brain_pattern
from seganypet.data.phantoms.canvas import Canvas
from seganypet.data.phantoms.lesion_growth import Lesion
from seganypet.data.phantoms.lesions import add_lesions
from seganypet.data.phantoms.options import PLAIN, Options, region_around
from seganypet.data.phantoms.organs import paint_organs
from seganypet.data.phantoms.patient import Patient, draw_patient
from seganypet.data.phantoms.scanner import Scanner, add_noise, blur, breathe, draw_scanner, draw_voxel_size
from seganypet.pet import SyntheticPatient, SyntheticScan, write_pet_dicom_series


@dataclass(frozen=True)
class Phantom:
    """A made-up PET scan whose truth is known.

    Args:
        suv: SUVbw [i, j, k], float32.
        labels: label values [i, j, k], int16, 0 outside the body; the truth before blur.
        affine: voxel indices → mm, RAS+, as nibabel has it.
        label_names: name of each value present in `labels`; lesions are "lesion_1", "lesion_2", ...
        lesions: what was asked for and what was made, in the order of the names.
        scanner: resolution and noise, None where a phantom has none of its own.
        patient: the patient's traits, None where the anatomy came from elsewhere.
        tracer: one of `UPTAKES`.
    """

    suv: np.ndarray
    labels: np.ndarray
    affine: np.ndarray
    label_names: dict[int, str]
    lesions: list[Lesion] = field(default_factory=list)
    scanner: Scanner | None = None
    patient: Patient | None = None
    tracer: str = "fdg"

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def target_names(self) -> dict[int, str]:
        """The labels that a reader would click: organs and lesions, without fat, muscle and the like."""
        return {value: name for value, name in self.label_names.items() if name not in CONTEXT_NAMES}

    def mask(self, name: str) -> np.ndarray:
        """Voxels of one label, bool [i, j, k].

        Raises:
            ValueError: a name that this phantom does not have.
        """
        for value, known in self.label_names.items():
            if known == name:
                return self.labels == value
        raise ValueError(f"no label {name!r} in this phantom; it has {', '.join(self.label_names.values())}")

    def save(self, suv_path: str | Path, labels_path: str | Path) -> None:
        """Write SUV and labels as NIfTI.

        SUV is stored in 16 bits with one slope for the volume, as scanners do slice by slice: steps of about 0.002 SUV
        where a bladder reaches 60.
        """
        suv = nib.Nifti1Image(self.suv, self.affine)
        suv.set_data_dtype(np.int16)
        nib.save(suv, suv_path)
        nib.save(nib.Nifti1Image(self.labels.astype(np.int16), self.affine), labels_path)

    def save_dicom(self, folder: str | Path, *, seed: int | None = None) -> list[Path]:
        """Write the SUV as a DICOM PET series that `read_pet` gives back; `seed` makes its UIDs reproducible."""
        sex = "O" if self.patient is None else self.patient.sex[0].upper()
        who = SyntheticPatient(sex=sex)
        return write_pet_dicom_series(self.suv, self.affine, folder, patient=who, scan=SyntheticScan(seed=seed))


def make_phantom(
    seed: int | np.random.Generator = 0,
    *,
    sex: str | None = None,
    arms: str | None = None,
    scan_range: str | None = None,
    voxel_size_mm: Sequence[float] | None = None,
    scanner: Scanner | None = None,
    lesion_count: int | None = None,
    lesion_volumes_ml: Sequence[float] | None = None,
    options: Options = PLAIN,
) -> Phantom:
    """A whole-body PET of a random patient; the same seed and options give the same voxels.

    Args:
        seed: a number, or a generator that is drawn from.
        sex: "female" or "male"; drawn if None, as all that follows.
        arms: "up" or "down".
        scan_range: "eyes_to_thigh", "vertex_to_thigh" or "whole_body".
        voxel_size_mm: voxel size, else one of a clinical scanner.
        scanner: blur and noise.
        lesion_count: how many lesions to place, 0 for none.
        lesion_volumes_ml: volume of each lesion, instead of drawn ones.
        options: tracer, brain pattern, real lesions' shapes, region.

    Raises:
        ValueError: a trait or size out of range.
    """
    rng = np.random.default_rng(seed)
    patient = draw_patient(rng, sex=sex, arms=arms, scan_range=scan_range)
    drawn_size = draw_voxel_size(rng)
    spacing = checked_spacing(voxel_size_mm if voxel_size_mm is not None else drawn_size)
    drawn_scanner = draw_scanner(rng, spacing)
    scanner = scanner or drawn_scanner
    suv = draw_uptakes(rng, options.tracer)

    canvas, affine = _canvas(patient, spacing, rng)
    body = Body(canvas, patient, suv)
    paint_organs(body, suv)
    return render(
        canvas,
        affine,
        scanner,
        rng,
        suv,
        lesion_count=lesion_count,
        lesion_volumes_ml=lesion_volumes_ml,
        patient=patient,
        options=options,
    )


def checked_spacing(size: Sequence[float]) -> tuple[float, float, float]:
    """Three voxel sizes in mm.

    Raises:
        ValueError: other than three sizes between 0.5 and 20 mm.
    """
    spacing = tuple(float(step) for step in size)
    if len(spacing) != 3 or not all(0.5 <= step <= 20 for step in spacing):
        raise ValueError(f"voxel_size_mm needs three sizes between 0.5 and 20 mm, got {size!r}")
    return spacing


def render(
    canvas: Canvas,
    affine: np.ndarray,
    scanner: Scanner,
    rng: np.random.Generator,
    suv: dict[str, float],
    *,
    lesion_count: int | None = None,
    lesion_volumes_ml: Sequence[float] | None = None,
    patient: Patient | None = None,
    options: Options = PLAIN,
) -> Phantom:
    """Finish a canvas whose organs are painted: texture, lesions, then the scanner's blur and noise."""
    if options.brain_pattern is not None and options.tracer == "fdg":
        paint_brain_pattern(canvas, options.brain_pattern, suv["brain"], rng)
    add_texture(canvas, options.tracer)
    lesions = add_lesions(
        canvas,
        rng,
        count=lesion_count,
        volumes_ml=lesion_volumes_ml,
        real_shapes=options.lesion_shapes,
        faint_share=options.faint_share,
    )
    labels, activity, height = canvas.labels, canvas.activity, canvas.axes[2]
    if options.region_mm is not None:
        part = region_around(canvas, lesions, options.region_mm, rng)
        labels, activity, height = labels[part].copy(), activity[part].copy(), height[part[2]]
        affine = affine.copy()
        affine[:3, 3] += affine[:3, :3] @ [side.start for side in part]
        lesions = _left_of(lesions, labels, canvas.spacing_mm)
    activity = breathe(activity, height, canvas.spacing_mm, scanner.breathing_mm)
    seen = blur(activity, canvas.spacing_mm, scanner.fwhm_mm, cut=options.region_mm is not None)
    image = add_noise(seen, canvas.spacing_mm, scanner, rng)
    names = label_names_of(labels, lesions)
    return Phantom(image.astype(np.float32), labels, affine, names, lesions, scanner, patient, options.tracer)


def _left_of(lesions: Sequence[Lesion], labels: np.ndarray, spacing_mm: Sequence[float]) -> list[Lesion]:
    """The lesions of which a region holds half or more, with the volume that it holds; `labels` loses the others."""
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    sizes = np.bincount(labels.ravel(), minlength=FIRST_LESION + len(lesions)) * voxel_ml
    kept = [lesion for lesion in lesions if sizes[lesion.value] >= 0.5 * lesion.volume_ml]
    gone = {lesion.value for lesion in lesions} - {lesion.value for lesion in kept}
    labels[np.isin(labels, list(gone))] = VALUES["muscle"]
    return [replace(lesion, volume_ml=float(sizes[lesion.value])) for lesion in kept]


def label_names_of(labels: np.ndarray, lesions: Sequence[Lesion] = ()) -> dict[int, str]:
    """Names of the values present in a phantom's labels: `LABELS` and the lesions' own."""
    names = LABELS | {lesion.value: lesion.name for lesion in lesions}
    present = np.flatnonzero(np.bincount(labels.ravel()))
    return {int(value): names[int(value)] for value in present if value}


def add_texture(canvas: Canvas, tracer: str = "fdg") -> None:
    """Vary the activity inside each tissue, slowly (over some 3 cm), by the tissue's `texture` for that tracer."""
    spread = np.zeros(max(LABELS) + 1, dtype=np.float32)
    for value, name in LABELS.items():
        tissue = "lung" if name.startswith("lung") else name.rsplit("_", 1)[0] if name.startswith("kidney") else name
        spread[value] = UPTAKES[tracer][tissue].texture if tissue in UPTAKES[tracer] else 0.08
    canvas.activity *= 1 + np.clip(spread[canvas.labels] * canvas.field(28.0), -0.6, 1.5)


def _canvas(
    patient: Patient, spacing: tuple[float, float, float], rng: np.random.Generator
) -> tuple[Canvas, np.ndarray]:
    """A grid around the patient and its affine, in the axis order and signs of one of two kinds of files."""
    wide = 330.0 if patient.arms == "down" else 310.0
    half = (wide + 10, 165 + patient.fat_mm)
    low = np.array([-half[0], -half[1], patient.low_z]) * patient.scale
    high = np.array([half[0], half[1] + 40, patient.high_z]) * patient.scale
    shape = np.ceil((high - low) / spacing).astype(int)
    centres = [start + step * (np.arange(n) + rng.random()) for start, step, n in zip(low, spacing, shape, strict=True)]
    sign = np.array([-1, -1, 1]) if rng.random() < 0.7 else np.ones(3)  # DICOM's axes, or RAS
    centres = [axis[:: int(s)] for axis, s in zip(centres, sign, strict=True)]
    table = rng.uniform(-20, 20, 3) + np.array([0, 0, rng.uniform(-1200, 200)])  # where the patient lies
    affine = np.diag([*(sign * spacing), 1.0])
    affine[:3, 3] = [axis[0] for axis in centres] + table
    template = [axis / scale for axis, scale in zip(centres, patient.scale, strict=True)]
    return Canvas(*template, spacing_mm=spacing, rng=rng), affine
