"""Write a cohort of whole-body PET phantoms with its data list.

    python scripts/make_phantoms.py --folder runs/phantoms --count 12 --seed 0 --validation 2
    python scripts/make_phantoms.py --folder runs/phantoms --count 12 --label_maps maps.json --crops crops.json
    python scripts/make_phantoms.py --folder runs/train --count 200 --sources ../shared/data --section training \\
        --label_map_share 0.75 --region_mm 300 --other_tracers 0.2 --truth_habits

maps.json names organ label maps that phantoms are built on, with the names of their values:
{"patient.nii.gz": {"1": "spleen", "5": "liver"}, "other.nii.gz": "label_names.json"}
crops.json is a data list of real tumours, as scripts/list_crops.py writes it.
--sources is a folder of public anatomies in the layout that `find_label_maps` says; each section has its own of them,
and no phantom of a test cohort stands on a map that training saw.
"""

import sys
from pathlib import Path

from command import run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from seganypet.data import read_data_list, write_cohort
from seganypet.data.data_list import SECTIONS
from seganypet.data.phantoms import find_brain_pattern, find_label_maps, find_lesion_maps, read_label_maps


def make_phantoms(
    folder: str,
    count: int = 12,
    seed: int = 0,
    *,
    validation: int = 0,
    test: int = 0,
    lesion_count: int | None = None,
    label_maps: str | None = None,
    sources: str | None = None,
    section: str = "training",
    label_map_share: float = 0.5,
    other_tracers: float = 0.0,
    region_mm: float | None = None,
    faint_share: float = 0.0,
    truth_habits: bool = False,
    crops: str | None = None,
    crop_section: str = "training",
    crop_share: float = 1.0,
    workers: int | None = None,
) -> str:
    """Write a cohort; phantoms that are there already are kept.

    Args:
        folder: gets the phantoms and data_list.json.
        count: phantoms in all.
        seed: of the cohort.
        validation: how many of them are for validation.
        test: how many of them are for test.
        lesion_count: lesions in each, instead of 2 to 16.
        label_maps: JSON file of organ label maps to build phantoms on.
        sources: folder of public anatomies to build phantoms on, beside those of `label_maps`, of real lesions'
            shapes and of a real brain's uptake.
        section: training, validation or test: which of them.
        label_map_share: how many of the phantoms are built on them, 0 to 1.
        other_tracers: how many of the phantoms are PSMA- or DOTATATE-like instead of FDG, 0 to 1.
        region_mm: keep a cube of that side around one of the lesions, with voxels down to 1 mm.
        faint_share: how many of the lesions under 10 mm in radius are 2 to 6 times as active as what they grow in and
            hardly uneven, 0 to 1.
        truth_habits: outline lesions by readers' habits (50 % of the maximum, SUV 4, steepest edge, 1 to 2 mm too
            wide) instead of as painted; in the training section alone, and for no cohort of `section` test.
        crops: data list of real tumours to paste, one into a phantom.
        crop_section: the section of that list to take them from.
        crop_share: how many of the phantoms get one, 0 to 1.
        workers: processes, by default one a core.
    """
    if truth_habits and sources is not None and section != "training":
        raise ValueError(f"truth_habits is for training; the {section} section's truth is the painted object")
    if crop_section not in SECTIONS:
        raise ValueError(f"--crop_section must be one of {', '.join(SECTIONS)}, got {crop_section!r}")
    maps = [] if label_maps is None else read_label_maps(label_maps)
    if sources is not None:
        maps += find_label_maps(sources, section)
    return str(
        write_cohort(
            folder,
            count,
            seed,
            validation=validation,
            test=test,
            lesion_count=lesion_count,
            label_maps=maps,
            label_map_share=label_map_share,
            crops=() if crops is None else read_data_list(crops)[crop_section],
            crop_share=crop_share,
            lesion_shapes=[] if sources is None else find_lesion_maps(sources, section),
            brain_pattern=None if sources is None else find_brain_pattern(sources),
            other_tracers=other_tracers,
            region_mm=region_mm,
            faint_share=faint_share,
            truth_habits=truth_habits,
            workers=workers,
        )
    )


if __name__ == "__main__":
    run(make_phantoms)
