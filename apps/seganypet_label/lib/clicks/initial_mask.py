"""A mask that comes with a request, as the prompt that its clicks refine."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from fastapi import UploadFile

from lib.store.bad_request import BadRequest
from lib.store.label_maps import read_label_map
from lib.store.names import IMAGE_EXTENSIONS, extension_of
from seganypet.clicks import InitialMask, VoxelSet
from seganypet.pet import PetVolume


def initial_mask(file: UploadFile, volume: PetVolume) -> InitialMask:
    """The voxels of a label map that are not 0; nothing of the file stays on disk.

    Raises:
        BadRequest: no image file, no label map, or another grid than the volume's.
    """
    extension = extension_of(file.filename or "", IMAGE_EXTENSIONS)
    if extension is None:
        raise BadRequest(f"a label is a file {', '.join(IMAGE_EXTENSIONS)}, got {Path(file.filename or '').name!r}")
    with tempfile.TemporaryDirectory(prefix="seganypet-") as folder:
        path = Path(folder) / f"label{extension}"
        with path.open("wb") as copy:
            shutil.copyfileobj(file.file, copy)
        labels = read_label_map(path, volume).voxels
    return InitialMask(VoxelSet.of(labels != 0) if labels.any() else None)
