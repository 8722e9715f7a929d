"""One DICOM instance as DICOMweb sees it: its header as DICOM JSON (PS3.18 F.2), its stored frames, the whole file."""

from __future__ import annotations

import io
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from seganypet.pet import PetReadError
from seganypet.pet.dicom_file import BROKEN, read_dicom

logger = logging.getLogger(__name__)

Row = dict[str, Any]  # a data set in DICOM JSON: "GGGGEEEE" → {"vr", "Value" | "InlineBinary" | "BulkDataURI"}
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
BINARY = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
LARGE = 1024  # bytes of a value that is not sent with the header
PIXEL_DATA, CHARACTER_SET, INSTANCE_NUMBER = "7FE00010", "00080005", "00200013"


@dataclass(frozen=True)
class Frames:
    """Stored pixels.

    Args:
        contents: of each frame, little endian; of one bit a pixel, each frame packed by itself.
        shape: rows, columns.
        dtype: of a pixel; bool for one bit.
    """

    contents: list[bytes]
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def pixels(self, index: int) -> NDArray[Any]:
        """A frame [row, column]; `index` from 0."""
        if self.dtype == bool:
            flat = np.unpackbits(np.frombuffer(self.contents[index], np.uint8), bitorder="little")
            return flat[: self.shape[0] * self.shape[1]].reshape(self.shape)
        return np.frombuffer(self.contents[index], self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class Instance:
    """One instance.

    Args:
        uid: SOPInstanceUID.
        number: InstanceNumber, 0 where there is none.
        text: its header in DICOM JSON; a large value has a BulkDataURI of "bulkdata/GGGGEEEE", below the instance.
        path: its file; None for one that is in memory.
        content: the whole file, of one that is in memory.
    """

    uid: str
    number: int
    text: bytes
    path: Path | None = None
    content: bytes = b""

    @property
    def row(self) -> Row:
        """Its header."""
        found: Row = json.loads(self.text)
        return found

    def whole(self) -> bytes:
        """The file as it is."""
        return self.content if self.path is None else self.path.read_bytes()

    def bulk(self, tag: int) -> bytes | None:
        """The bytes of a binary value as they stand in the file; None where there is none."""
        element = self._dataset().get(tag)
        return bytes(element.value or b"") if element is not None and element.VR[:2] in BINARY else None

    def frames(self) -> Frames:
        """Stored pixels of each frame, little endian, whatever the file's transfer syntax.

        Raises:
            PetReadError: they cannot be decoded, or the file breaks off.
        """
        dataset = self._dataset()
        try:
            return _frames(dataset, self.path)
        except (*BROKEN, RuntimeError) as error:
            if isinstance(error, PetReadError):
                raise
            where = "the label" if self.path is None else self.path.name
            raise PetReadError(f"the pixels of {where} cannot be decoded: {error}") from error

    def _dataset(self) -> Dataset:
        return pydicom.dcmread(io.BytesIO(self.content)) if self.path is None else read_dicom(self.path)


def read_instance(path: Path) -> Instance:
    """A file's instance; an element that is malformed is left out, so that the others are served.

    Raises:
        PetReadError: it is no DICOM, breaks off, or has no SOPInstanceUID.
    """
    return instance_of(read_dicom(path), path=path)


def instance_of(dataset: Dataset, *, path: Path | None = None, content: bytes = b"") -> Instance:
    """The instance of a data set that was read from a file, or is in memory.

    Raises:
        PetReadError: it has no SOPInstanceUID.
    """
    row: Row = {}
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
            name, vr = f"{tag:08X}", element.VR[:2]  # "OB or OW" before it is decided
            if vr in BINARY and (name == PIXEL_DATA or len(element.value or b"") > LARGE):
                row[name] = {"vr": vr, "BulkDataURI": f"bulkdata/{name}"}
            elif tag.element:  # not a group's length
                entry = element.to_json_dict(None, LARGE)
                json.dumps(entry, allow_nan=False)
                row[name] = entry
        except (*BROKEN, RecursionError) as error:
            logger.warning("%s: element %s is left out: %s", path or "a label", tag, error)
    row[CHARACTER_SET] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # JSON is in UTF-8 whatever the file is in
    uid = text_of(row, "00080018")
    if not uid:
        raise PetReadError(f"{path or 'a label'} has no SOPInstanceUID (0008,0018)")
    number = text_of(row, INSTANCE_NUMBER)
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return Instance(uid, int(number) if re.fullmatch(r"-?\d{1,12}", number) else 0, text, path, content)


def values_of(row: Row, tag: str) -> list[str]:
    """An element's values as text; of a name its alphabetic, ideographic and phonetic form."""
    found: list[str] = []
    for value in row.get(tag, {}).get("Value", []):
        parts = value.values() if isinstance(value, dict) else [value]
        found += [str(part) for part in parts if part is not None and not isinstance(part, dict | list)]
    return found


def text_of(row: Row, tag: str) -> str:
    """An element's first value as text, "" where it has none."""
    return next(iter(values_of(row, tag)), "")


def _frames(dataset: Dataset, path: Path | None) -> Frames:
    if "PixelData" not in dataset:
        raise PetReadError(f"{path.name if path else 'the label'} holds no pixels")
    count = int(dataset.get("NumberOfFrames") or 1)
    rows, columns, bits = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
    if int(dataset.get("SamplesPerPixel") or 1) != 1 or bits not in (1, 8, 16, 32):
        raise PetReadError(f"pixels of {bits} bits and {dataset.get('SamplesPerPixel')} samples are not served")
    kind = "i" if int(dataset.get("PixelRepresentation") or 0) else "u"
    dtype = np.dtype(bool) if bits == 1 else np.dtype(f"<{kind}{bits // 8}")
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if syntax == RLELossless:  # pydicom's own; GDCM does not decode it in every case
        content = np.ascontiguousarray(dataset.pixel_array).astype(dtype).tobytes()
    elif syntax and syntax not in NATIVE:
        content = _decoded(dataset, path).astype(dtype).tobytes()
    else:
        content = bytes(dataset.PixelData)
        if syntax == ExplicitVRBigEndian and dtype.itemsize > 1:
            content = np.frombuffer(content, dtype.newbyteorder(">")).astype(dtype).tobytes()
        elif syntax == ExplicitVRBigEndian and bits == 8 and dataset["PixelData"].VR == "OW":
            content = np.frombuffer(content, ">u2").astype("<u2").tobytes()
    pixels = rows * columns
    needed = (count * pixels * bits + 7) // 8
    if len(content) < needed:
        raise PetReadError(f"{path.name if path else 'the label'} has {len(content)} bytes of pixels, not {needed}")
    if bits == 1:  # frames begin anywhere in a byte
        flat = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")[: count * pixels]
        contents = [np.packbits(frame, bitorder="little").tobytes() for frame in flat.reshape(count, pixels)]
    else:
        length = pixels * bits // 8
        contents = [content[number * length : (number + 1) * length] for number in range(count)]
    return Frames(contents, (rows, columns), dtype)


def _decoded(dataset: Dataset, path: Path | None) -> NDArray[np.float64]:
    """Stored pixels of a compressed file: GDCM, inside SimpleITK, decodes and rescales; the rescaling is taken back."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    values = sitk.GetArrayFromImage(reader.Execute()).astype(np.float64)
    slope = float(dataset.get("RescaleSlope") or 1)
    stored: NDArray[np.float64] = np.rint((values - float(dataset.get("RescaleIntercept") or 0)) / slope)
    return stored
