"""Throws random requests at the server, and random damage at the readers of DICOM and NIfTI.

    python scripts/fuzz.py server --requests 10000 --seed 1
    python scripts/fuzz.py readers --files 3000 --seed 1

Ends with status 1 at the first answer that must not be, and says what was asked; the same seed asks the same again.
"""

import sys
from pathlib import Path

import fire

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from reliability.reader_fuzz import readers
from reliability.server_fuzz import server

if __name__ == "__main__":
    fire.Fire({"server": server, "readers": readers})
