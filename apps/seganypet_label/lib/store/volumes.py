"""Volumes read once and kept in memory, within a bound."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import math
import os
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from seganypet.inference.byte_cache import ByteCache
from seganypet.pet import PetReadError, PetVolume, read_pet
from seganypet.pet.bids_sidecar import sidecar_of


class Volumes:
    """Reads studies; the same file is read once until it changes, also when many ask at the same time.

    Args:
        max_bytes: bound on the voxels kept; the volume in use stays even if it is larger.
    """

    def __init__(self, max_bytes: int) -> None:
        self._kept: ByteCache[PetVolume] = ByteCache(max_bytes, lambda volume: volume.voxels.nbytes, newest_stays=True)
        self._stamps = _Stamps()

    @property
    def max_bytes(self) -> int:
        return self._kept.max_bytes

    def study(self, path: Path, series_uid: str | None = None) -> tuple[PetVolume, bool]:
        """A study's volume, and whether it was at hand.

        Args:
            path: a NIfTI file, or a folder of DICOM files.
            series_uid: which PET series of the folder.

        Raises:
            ValueError, FileNotFoundError: from `read_pet`, naming the file or tag.
        """
        with _named_by_itself(path):
            return self._get((str(path), series_uid, self._stamps.of(path)), lambda: read_study(path, series_uid))

    def upload(self, path: Path) -> tuple[PetVolume, bool]:
        """The volume of a file that came with a request, known again by its bytes whatever its name."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        with _named_by_itself(path):
            return self._get((digest, path.suffix), lambda: read_study(path, None))

    def bytes_held(self) -> int:
        """Bytes of the voxels kept."""
        return self._kept.bytes_held

    def _get(self, key: Hashable, read: Callable[[], PetVolume]) -> tuple[PetVolume, bool]:
        volume, made = self._kept.get_or_make(key, read)
        return volume, not made


@contextmanager
def _named_by_itself(path: Path) -> Iterator[None]:
    """Says what is wrong with a study without the server's folders: clients are told."""
    try:
        yield
    except ValueError as error:
        said = str(error).replace(f"{path.parent}/", "")
        if said == str(error):
            raise
        raise (PetReadError if isinstance(error, PetReadError) else ValueError)(said) from error


class _Stamps:
    """Tells when a file or a folder's files change.

    A folder of thousands of files takes tens of milliseconds to look through. So that a click does not pay for it each
    time, it is looked through again when `PATIENCE` times as long has passed as that took, or when files came or went.
    """

    PATIENCE = 20

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Hashable, int, float]] = {}  # stamp, the folder's own time, when to look again

    def of(self, path: Path) -> Hashable:
        """Changes when a file or the sidecar beside it, or a folder's files, change."""
        try:
            stat = path.stat()
        except FileNotFoundError:
            raise FileNotFoundError(f"{path.name} is not there any more") from None
        if not path.is_dir():
            return (stat.st_mtime_ns, stat.st_size, _sidecar_stamp(path))
        begun = time.monotonic()
        known = self._known.get(path)
        if known is not None and known[1] == stat.st_mtime_ns and begun < known[2]:
            return known[0]
        newest = 0
        with os.scandir(path) as entries:
            for entry in entries:
                newest = max(newest, entry.stat().st_mtime_ns)
        ended = time.monotonic()
        stamp = (stat.st_mtime_ns, newest)
        self._known[path] = (stamp, stat.st_mtime_ns, ended + self.PATIENCE * (ended - begun))
        return stamp


def _sidecar_stamp(nifti: Path) -> Hashable:
    """Of the JSON that says what a NIfTI's numbers mean; None where there is none."""
    sidecar = sidecar_of(nifti)
    try:
        stat = sidecar.stat() if sidecar is not None else None
    except FileNotFoundError:  # it went away meanwhile
        return None
    return stat and (stat.st_mtime_ns, stat.st_size)


MAX_VOXELS = 2**29  # 2 GiB of float32; the longest whole bodies have a tenth of that


def read_study(path: Path, series_uid: str | None) -> PetVolume:
    """A volume as its NIfTI download shows it: a DICOM affine is rounded to the float32 that NIfTI stores.

    So a client that sends a download back finds the embeddings of the original.

    Raises:
        ValueError: a file that is no PET, or one that would not fit into memory.
    """
    if path.is_file():
        _check_size(path)
    volume = read_pet(path, series_uid=series_uid)
    if path.is_dir():
        affine = volume.affine.astype(np.float32).astype(np.float64)
        volume = dataclasses.replace(volume, affine=affine)
    return volume


def _check_size(path: Path) -> None:
    """A few kilobytes of gzip can hold gigabytes of zeros, and a header can say what it likes."""
    try:
        if path.name.lower().endswith((".nii", ".nii.gz")):
            shape = nib.Nifti1Image.from_filename(path).shape
        else:
            header = sitk.ImageFileReader()
            header.SetFileName(str(path))
            header.ReadImageInformation()
            shape = header.GetSize()
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
