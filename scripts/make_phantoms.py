"""Write a cohort of whole-body FDG phantoms with its data list.

python scripts/make_phantoms.py --folder runs/phantoms --count 12 --seed 0 --validation 2
"""

import sys
from pathlib import Path

import fire

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from seganypet.data import write_cohort

if __name__ == "__main__":
    fire.Fire(write_cohort)
