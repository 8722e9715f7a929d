"""Whether the server and the readers of DICOM and NIfTI hold under what they should never get.

    python scripts/stress.py requests --count 10000 --seed 1   # random ones, after the server's own OpenAPI
    python scripts/stress.py files --count 3000 --seed 1       # damaged ones
    python scripts/stress.py kills --count 100 --seed 1        # of the server, while labels are saved
    python scripts/stress.py kills --within training           # or publish, scoring: while it learns
    python scripts/stress.py soak --clicks 2000 --studies 40 --readers 8

Ends with status 1 at the first answer that must not be, and says what was asked; the same seed asks the same again.
"""

import sys
from pathlib import Path

from command import run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from reliability.damaged_files import files
from reliability.kills import kills
from reliability.random_requests import requests
from reliability.soak import soak

if __name__ == "__main__":
    run({"requests": requests, "files": files, "kills": kills, "soak": soak})
