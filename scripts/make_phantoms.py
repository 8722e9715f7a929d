"""Write a cohort of whole-body FDG phantoms with its data list.

    python scripts/make_phantoms.py --folder runs/phantoms --count 12 --seed 0 --validation 2
    python scripts/make_phantoms.py --folder runs/phantoms --count 12 --label_maps maps.json

maps.json names organ label maps that half of the phantoms are built on, with the names of their values:
{"patient.nii.gz": {"1": "spleen", "5": "liver"}, "other.nii.gz": "label_names.json"}
"""

import sys
from pathlib import Path

import fire

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from seganypet.data import write_cohort
from seganypet.data.phantoms import read_label_maps


def make_phantoms(
    folder: str,
    count: int = 12,
    seed: int = 0,
    *,
    validation: int = 0,
    test: int = 0,
    label_maps: str | None = None,
    workers: int | None = None,
) -> str:
    """Write a cohort; phantoms that are there already are kept.

    Args:
        folder: gets the phantoms and data_list.json.
        count: phantoms in all.
        seed: of the cohort.
        validation: how many of them are for validation.
        test: how many of them are for test.
        label_maps: JSON file of organ label maps to build half of the phantoms on.
        workers: processes, by default one a core.
    """
    maps = None if label_maps is None else read_label_maps(label_maps)
    return str(write_cohort(folder, count, seed, validation=validation, test=test, label_maps=maps, workers=workers))


if __name__ == "__main__":
    fire.Fire(make_phantoms)
