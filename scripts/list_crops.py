"""Write the data list of a folder of PET crops with tumour masks and a splits.json.

python scripts/list_crops.py --folder ../shared/data/sts_crops --path runs/sts_crops.json
"""

import sys
from pathlib import Path

from command import run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from seganypet.data.crops import write_crop_list

if __name__ == "__main__":
    run(write_crop_list)
