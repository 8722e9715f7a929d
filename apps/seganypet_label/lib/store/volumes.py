"""Volumes read once and kept in memory, within a bound."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path

import nibabel as nib
import numpy as np

from seganypet.pet import PetVolume, read_pet


class Volumes:
    """Reads studies; the same file is read once until it changes, also when many ask at the same time.

    Args:
        max_bytes: bound on the voxels kept; the volume in use stays even if it is larger.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._reading: dict[Hashable, threading.Lock] = {}
        self._kept: OrderedDict[Hashable, PetVolume] = OrderedDict()

    def study(self, path: Path, series_uid: str | None = None) -> tuple[PetVolume, bool]:
        """A study's volume, and whether it was at hand.

        Args:
            path: a NIfTI file, or a folder of DICOM files.
            series_uid: which PET series of the folder.

        Raises:
            ValueError, FileNotFoundError: from `read_pet`, naming the file or tag.
        """
        return self._get((str(path), series_uid, _stamp(path)), lambda: read_study(path, series_uid))

    def upload(self, path: Path) -> tuple[PetVolume, bool]:
        """The volume of a file that came with a request, known again by its bytes whatever its name."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        return self._get((digest, path.suffix), lambda: read_study(path, None))

    def bytes_held(self) -> int:
        """Bytes of the voxels kept."""
        with self._lock:
            return sum(volume.voxels.nbytes for volume in self._kept.values())

    def _get(self, key: Hashable, read: Callable[[], PetVolume]) -> tuple[PetVolume, bool]:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key], True
            reading = self._reading.setdefault(key, threading.Lock())
        with reading:
            with self._lock:
                if key in self._kept:
                    return self._kept[key], True
            try:
                volume = read()
            finally:
                with self._lock:
                    self._reading.pop(key, None)
            with self._lock:
                self._kept[key] = volume
                while len(self._kept) > 1 and sum(v.voxels.nbytes for v in self._kept.values()) > self.max_bytes:
                    self._kept.popitem(last=False)
            return volume, False


MAX_VOXELS = 2**29  # 2 GiB of float32; the longest whole bodies have a tenth of that


def read_study(path: Path, series_uid: str | None) -> PetVolume:
    """A volume as its NIfTI download shows it: a DICOM affine is rounded to the float32 that NIfTI stores.

    So a client that sends a download back finds the embeddings of the original.

    Raises:
        ValueError: a file that is no PET, or one that would not fit into memory.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        _check_size(path)
    volume = read_pet(path, series_uid=series_uid)
    if path.is_dir():
        affine = volume.affine.astype(np.float32).astype(np.float64)
        volume = dataclasses.replace(volume, affine=affine)
    return volume


def _check_size(path: Path) -> None:
    """A few kilobytes of gzip can hold gigabytes of zeros."""
    try:
        shape = nib.Nifti1Image.from_filename(path).shape
    except Exception:  # whatever is wrong with the file, `read_pet` says it
        return
    if math.prod(shape) > MAX_VOXELS:
        raise ValueError(f"{path.name} says it has {list(shape)} voxels; at most {MAX_VOXELS} are read")


def write_study_nifti(volume: PetVolume, path: Path) -> None:
    """A volume's voxels as .nii.gz, float32, on the grid its clicks refer to, at gzip's fastest level."""
    image = nib.Nifti1Image(np.asarray(volume.voxels), volume.affine)
    image.set_qform(volume.affine, code=1)
    image.set_sform(volume.affine, code=1)
    image.header.set_xyzt_units("mm")
    with gzip.open(path, "wb", compresslevel=1) as file:
        image.to_stream(file)


def _stamp(path: Path) -> Hashable:
    """Changes when a file or a folder's files change."""
    stat = path.stat()
    if not path.is_dir():
        return (stat.st_mtime_ns, stat.st_size)
    return (stat.st_mtime_ns, max((entry.stat().st_mtime_ns for entry in path.iterdir()), default=0))
