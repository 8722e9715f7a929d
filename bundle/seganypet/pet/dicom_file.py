"""Opening one DICOM file, with its name in whatever goes wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from seganypet.pet.errors import PetReadError

# what pydicom lets through from a file that breaks off or holds nonsense
BROKEN = (
    BytesLengthException,
    InvalidDicomError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,
    struct.error,
)


def read_dicom(path: str | Path, *, pixels: bool = True, only: list[str] | None = None) -> FileDataset:
    """The data set of a file, with or without a DICOM preamble.

    Args:
        path: the file.
        pixels: False to stop before them.
        only: keywords to keep, for speed.

    Raises:
        PetReadError: the file breaks off or is no DICOM; it is named.
    """
    try:
        return pydicom.dcmread(path, stop_before_pixels=not pixels, specific_tags=only, force=True)
    except BROKEN as error:
        raise PetReadError(f"{path} cannot be read as DICOM, it may be truncated: {error}") from error


def has_preamble(path: str | Path) -> bool | None:
    """True for a DICOM file, False for one that starts with its group 0002 or, a bare data set, 0008; else None."""
    with open(path, "rb") as file:
        start = file.read(132)
    if start[128:] == b"DICM":
        return True
    return False if len(start) == 132 and start[:2] in (b"\x02\x00", b"\x08\x00") else None
