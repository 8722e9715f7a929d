"""The DICOM instances of a studies folder, as DICOMweb sees them: PET series as they lie there, labels as DICOM SEG.

Headers are read when they are asked for, from the files that the store lists; a file that cannot be read is left out
and said in the log. Final labels become SEGs in memory: nothing is written beside the studies.
"""

from __future__ import annotations

import io
import logging
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from monailabel.interfaces.exception import ImageNotFoundException
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from lib.store.datastore import FINAL, StudyStore
from lib.store.label_maps import read_label_map
from seganypet.pet import PetReadError, find_pet_series, write_seg
from seganypet.pet.dicom_file import read_dicom

logger = logging.getLogger(__name__)

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
REMEMBERED = 50_000  # headers; a series has some hundreds


@dataclass(frozen=True)
class Instance:
    """One instance.

    Args:
        header: all but the pixels.
        path: its file; None for one that is in memory.
        content: the whole file, of one that is in memory.
    """

    header: Dataset
    path: Path | None = None
    content: bytes = b""

    @property
    def uid(self) -> str:
        return str(self.header.SOPInstanceUID)

    def whole(self) -> bytes:
        """The file as it is."""
        return self.content if self.path is None else self.path.read_bytes()

    def dataset(self) -> Dataset:
        """With the pixels."""
        return pydicom.dcmread(io.BytesIO(self.content)) if self.path is None else read_dicom(self.path)

    def frames(self) -> list[bytes]:
        """Stored pixels of each frame, little endian, whatever the file's transfer syntax.

        Raises:
            PetReadError: they cannot be decoded.
        """
        dataset = self.dataset()
        count = int(dataset.get("NumberOfFrames", 1) or 1)
        if "PixelData" not in dataset:
            raise PetReadError(f"{self.path or 'the label'} holds no pixels")
        meta = getattr(dataset, "file_meta", Dataset())
        syntax = meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
        if syntax == RLELossless:  # pydicom's own; GDCM does not decode it in every case
            return [np.ascontiguousarray(dataset.pixel_array).tobytes()]
        if syntax not in NATIVE:
            return [_decoded(dataset, self.path)]
        content = bytes(dataset.PixelData)
        if syntax == ExplicitVRBigEndian and int(dataset.BitsAllocated) == 16:
            content = np.frombuffer(content, ">u2").astype("<u2").tobytes()
        if int(dataset.BitsAllocated) == 1:
            return _bits(content, count, int(dataset.Rows) * int(dataset.Columns))
        length = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
        length *= int(dataset.get("SamplesPerPixel", 1) or 1)
        return [content[n * length : (n + 1) * length] for n in range(count)]


class FolderInstances:
    """Finds the instances of a folder's studies.

    Args:
        store: the studies; those that are DICOM count.
    """

    def __init__(self, store: StudyStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._headers: OrderedDict[tuple[Path, int], Dataset] = OrderedDict()
        self._labels: dict[str, tuple[float, Instance | None]] = {}

    def series(self, study_uid: str = "", series_uid: str = "") -> Iterator[list[Instance]]:
        """Each series' instances, with the study's or series' UID where one is given; PET first, then its label."""
        for study_id in self._store.list_images():
            try:
                path, uid = self._store.source(study_id)
            except ImageNotFoundException:
                continue  # it went away meanwhile
            about = self._store.get_image_info(study_id).get("about") or {}
            if uid is None or (study_uid and about.get("study_uid") != study_uid):
                continue
            if not series_uid or uid == series_uid:
                found = self._pet(path, uid)
                if found:
                    yield found
            if not series_uid or uid != series_uid:
                label = self._label(study_id)
                if label is not None and series_uid in ("", str(label.header.SeriesInstanceUID)):
                    yield [label]

    def study_id_of(self, series_uid: str) -> str:
        """The store's id of a series."""
        return self._store.study_id(series_uid)

    def _pet(self, folder: Path, series_uid: str) -> list[Instance]:
        files = next((one.files for one in find_pet_series(folder) if one.uid == series_uid), ())
        found = []
        for file in files:
            try:
                found.append(Instance(self._header(file), file))
            except (PetReadError, OSError) as error:
                logger.warning("%s is left out: %s", file, error)
        return sorted(found, key=lambda one: (int(one.header.get("InstanceNumber", 0) or 0), one.uid))

    def _header(self, file: Path) -> Dataset:
        key = (file, file.stat().st_mtime_ns)
        with self._lock:
            if key in self._headers:
                return self._headers[key]
        header = read_dicom(file, pixels=False)
        if "SOPInstanceUID" not in header:
            raise PetReadError(f"{file} has no SOPInstanceUID")
        with self._lock:
            self._headers[key] = header
            while len(self._headers) > REMEMBERED:
                self._headers.popitem(last=False)
        return header

    def _label(self, study_id: str) -> Instance | None:
        """A study's final label as a DICOM SEG; made once for each time it is saved."""
        info = self._store.get_label_info(study_id, FINAL)
        saved = float(info.get("ts", 0)) if info else 0.0
        with self._lock:
            known = self._labels.get(study_id)
        if known is not None and known[0] == saved:
            return known[1]
        instance = None
        if info and info.get("targets"):
            try:
                instance = self._made(study_id, info)
            except (ValueError, OSError) as error:
                logger.warning("the label of %s is not shown as a DICOM SEG: %s", study_id, error)
        with self._lock:
            self._labels[study_id] = (saved, instance)
        return instance

    def _made(self, study_id: str, info: dict) -> Instance:
        volume = self._store.volumes.study(*self._store.source(study_id))[0]
        voxels = read_label_map(Path(self._store.get_label_uri(study_id, FINAL)), volume).voxels
        masks = {one["name"]: voxels == one["idx"] for one in info["targets"]}
        tracking = {one["name"]: one["tracking_uid"] for one in info["targets"]}
        with tempfile.TemporaryDirectory(prefix="seganypet-") as folder:
            file = write_seg(masks, volume, Path(folder) / "seg.dcm", tracking_uids=tracking)
            content = file.read_bytes()
        return Instance(pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True), None, content)


def _decoded(dataset: Dataset, path: Path | None) -> bytes:
    """Stored pixels of a compressed file: GDCM, inside SimpleITK, decodes and rescales; the rescaling is taken back."""
    try:
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        values = sitk.GetArrayFromImage(reader.Execute()).astype(np.float64)
    except RuntimeError as error:
        raise PetReadError(f"the pixels of {path} cannot be decoded: {error}") from None
    slope = float(dataset.get("RescaleSlope", 1) or 1)
    stored = np.rint((values - float(dataset.get("RescaleIntercept", 0) or 0)) / slope)
    kind = "i" if int(dataset.get("PixelRepresentation", 0)) else "u"
    return stored.astype(f"<{kind}{int(dataset.BitsAllocated) // 8}").tobytes()


def _bits(content: bytes, count: int, pixels: int) -> list[bytes]:
    """Frames of one bit a pixel, which begin anywhere in a byte, each packed by itself."""
    flat = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")[: count * pixels]
    return [np.packbits(frame, bitorder="little").tobytes() for frame in flat.reshape(count, pixels)]
