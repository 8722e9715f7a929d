"""One PET series, file by file, as a volume."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import AllTransferSyntaxes, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from seganypet.pet.dicom_file import BROKEN, read_dicom
from seganypet.pet.errors import PetReadError, SuvUnavailableError
from seganypet.pet.headers import canonical, header_text, named
from seganypet.pet.plausibility import check_mean_suv
from seganypet.pet.slice_geometry import slice_order_and_affine
from seganypet.pet.suv import suv_factors
from seganypet.pet.volume import SUVBW, PetSource, PetVolume, SuvProvenance

logger = logging.getLogger(__name__)

_SAME_TEXT = ("Rows", "Columns", "SamplesPerPixel", "StudyInstanceUID", "PatientID", "FrameOfReferenceUID", "Units")
_SAME_INSTANCE = ("ImagePositionPatient", "RescaleSlope", "RescaleIntercept", "Rows", "Columns")
_SAME_NUMBERS = ("PixelSpacing", "ImageOrientationPatient")


def read_series(files: Sequence[Path], series_uid: str) -> PetVolume:
    """The volume of one static PET series.

    Slices are sorted by position along their normal. Values are stored · RescaleSlope + RescaleIntercept slice by
    slice, and times the SUV factor where the headers give one; else the volume is in its stored units and says why.

    Raises:
        PetReadError: files that are broken, do not belong together, or do not make an even stack; the file is named.
    """
    slices, files = _each_once([(_read_slice(path), Path(path)) for path in files])
    names = [path.name for path in files]
    _check_same(slices, names)
    rows, columns = (int(_numbers(slices[0], keyword, 1, names[0])[0]) for keyword in ("Rows", "Columns"))
    positions = [_numbers(data, "ImagePositionPatient", 3, name) for data, name in zip(slices, names, strict=True)]
    order, affine = slice_order_and_affine(
        positions,
        _numbers(slices[0], "ImageOrientationPatient", 6, names[0]),
        _numbers(slices[0], "PixelSpacing", 2, names[0]),
        names,
        thickness_mm=_numbers(slices[0], "SliceThickness", 1, names[0])[0] if len(slices) == 1 else None,
    )
    slices, files = [slices[index] for index in order], [Path(files[index]) for index in order]
    units, factors, provenance = _suv(slices)
    provenance = replace(provenance, notes=(*_fewer_slices(slices), *provenance.notes))
    stack = np.empty((len(slices), rows, columns), np.float32)  # [k, j, i]
    for index, (data, path) in enumerate(zip(slices, files, strict=True)):
        stack[index] = _rescaled_pixels(data, path) * factors[index]
    if units == SUVBW:
        units, provenance = _checked_outcome(stack, slices, factors, provenance)
    try:
        return PetVolume(stack.transpose(2, 1, 0), affine, units, provenance, PetSource(tuple(files), series_uid))
    except ValueError as error:
        raise PetReadError(f"series {series_uid}: {error}") from error


def _each_once(read: list[tuple[FileDataset, Path]]) -> tuple[list[FileDataset], list[Path]]:
    """Slices without copies: files of one SOPInstanceUID are one instance, however often it was exported.

    Raises:
        PetReadError: two files of one SOPInstanceUID that differ.
    """
    kept: dict[str, tuple[FileDataset, Path]] = {}
    for data, path in read:
        uid = header_text(data, "SOPInstanceUID") or str(path)
        if uid not in kept:
            kept[uid] = (data, path)
            continue
        first, first_path = kept[uid]
        same = all(
            header_text(data, keyword) == header_text(first, keyword) for keyword in (*_SAME_INSTANCE, *_SAME_NUMBERS)
        )
        if not same or data.get("PixelData") != first.get("PixelData"):
            raise PetReadError(f"{first_path} and {path} have one {named('SOPInstanceUID')}, {uid}, and differ")
        logger.info("%s is a copy of %s", path, first_path)
    return [data for data, _ in kept.values()], [path for _, path in kept.values()]


def _checked_outcome(
    stack: NDArray[np.float32], slices: list[FileDataset], factors: NDArray[np.float64], provenance: SuvProvenance
) -> tuple[str, SuvProvenance]:
    """Units and provenance once the SUV that came out was looked at; an impossible one is turned back, in place."""
    notes: list[str] = []
    try:
        check_mean_suv(stack, notes)
    except SuvUnavailableError as error:
        logger.warning("%s", error)
        stack /= factors[:, None, None].astype(np.float32)
        return header_text(slices[0], "Units") or "unknown", replace(
            provenance, rule=None, factor_range=None, reason=error.reason
        )
    for note in notes:
        logger.warning("SUV: %s", note)
    return SUVBW, replace(provenance, notes=(*provenance.notes, *notes))


def _read_slice(path: Path) -> FileDataset:
    data = read_dicom(path)
    if "TransferSyntaxUID" not in data.file_meta:  # a bare data set, without the header of a file
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if data.is_implicit_VR else ExplicitVRLittleEndian
    return data


def _numbers(data: FileDataset, keyword: str, count: int, name: str) -> NDArray[np.float64]:
    text = header_text(data, keyword)
    if text is None:
        raise PetReadError(f"{named(keyword)} is missing in {name}")
    try:
        numbers = np.array([float(part) for part in text.split("\\")])
    except ValueError:
        raise PetReadError(f"{named(keyword)} is {text!r} in {name}, {count} numbers are needed") from None
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise PetReadError(f"{named(keyword)} is {text!r} in {name}, {count} numbers are needed")
    return numbers


def _check_same(slices: list[FileDataset], names: list[str]) -> None:
    """Raises PetReadError, naming tag and files, where slices of one series do not belong to one volume."""
    for keyword in _SAME_TEXT:
        texts = [header_text(data, keyword) for data in slices]
        canon = [None if text is None else canonical(keyword, text) for text in texts]
        odd = next((index for index, text in enumerate(canon) if text != canon[0]), None)
        if odd is not None:
            raise PetReadError(
                f"mixed series: {named(keyword)} is {texts[0]} in {names[0]} and {texts[odd]} in {names[odd]}"
            )
    for keyword in _SAME_NUMBERS:
        count = 2 if keyword == "PixelSpacing" else 6
        numbers = np.array([_numbers(data, keyword, count, name) for data, name in zip(slices, names, strict=True)])
        apart = np.abs(numbers - numbers[0]).max(axis=1)
        odd = int(apart.argmax())
        if apart[odd] > 1e-4:
            raise PetReadError(
                f"mixed series: {named(keyword)} is {numbers[0].tolist()} in {names[0]} and {numbers[odd].tolist()} "
                f"in {names[odd]}"
            )
    samples = header_text(slices[0], "SamplesPerPixel")
    if samples not in (None, "1"):
        raise PetReadError(f"{named('SamplesPerPixel')} is {samples}: a colour image, no PET")


def _fewer_slices(slices: list[FileDataset]) -> tuple[str, ...]:
    """A note where the headers state more slices than there are; a gap between slices is refused elsewhere."""
    stated = header_text(slices[0], "NumberOfSlices")
    if stated is None or not stated.isdigit() or int(stated) <= len(slices):
        return ()
    note = f"{named('NumberOfSlices')} is {stated}, {len(slices)} are here: is an end missing?"
    logger.warning("%s", note)
    return (note,)


def _suv(slices: list[FileDataset]) -> tuple[str, NDArray[np.float64], SuvProvenance]:
    """Units of the voxels to be, the factor of each slice, and where it came from."""
    units = header_text(slices[0], "Units") or "unknown"
    try:
        if any(header_text(data, "RescaleSlope") is None for data in slices):
            units = "unknown"
            raise SuvUnavailableError(f"{named('RescaleSlope')} is missing")
        found = suv_factors(slices)
    except SuvUnavailableError as error:
        logger.warning("%s", error)
        return units, np.ones(len(slices)), SuvProvenance(reason=error.reason)
    span = float(found.factors.min()), float(found.factors.max())
    return SUVBW, found.factors, SuvProvenance(found.rule, None, span, found.tags, found.notes)


def _rescaled_pixels(data: FileDataset, path: Path) -> NDArray[np.float64]:
    """[rows, columns] stored · slope + intercept."""
    syntax = data.file_meta.TransferSyntaxUID
    if syntax not in AllTransferSyntaxes:
        raise PetReadError(f"{path}: {named('TransferSyntaxUID')} {syntax} is none that DICOM knows")
    rows, columns, bits = (int(_numbers(data, key, 1, path.name)[0]) for key in ("Rows", "Columns", "BitsAllocated"))
    expected = rows * columns * bits // 8
    try:
        got = len(data.get("PixelData") or b"")
    except BROKEN as error:
        raise PetReadError(f"{path}: {named('PixelData')} cannot be read: {error}") from error
    if got == 0 or (got < expected and not syntax.is_encapsulated):
        raise PetReadError(f"{path} is truncated: {got} of {expected} bytes of {named('PixelData')} are there")
    slope, intercept = (
        _numbers(data, keyword, 1, path.name)[0] if header_text(data, keyword) is not None else default
        for keyword, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    if syntax.is_encapsulated and syntax != RLELossless:
        pixels = _decompressed(path, (rows, columns), syntax.name)
    else:
        try:
            stored = data.pixel_array
        except (*BROKEN, RuntimeError) as error:
            raise PetReadError(f"{path}: its pixels cannot be read: {error}") from error
        pixels = stored * slope + intercept
        if not stored.any():
            return pixels  # an empty slice, whose slope says nothing
    if slope <= 0:
        raise PetReadError(f"{named('RescaleSlope')} is {slope:g} in {path.name}, it must be above zero")
    return pixels


def _decompressed(path: Path, shape: tuple[int, int], syntax: str) -> NDArray[np.float64]:
    """Pixels of a compressed file; GDCM, inside SimpleITK, has the decoders and rescales as it reads.

    All but RLE, which pydicom decodes by itself and GDCM not in every case.
    """
    try:
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        pixels = sitk.GetArrayFromImage(reader.Execute()).astype(np.float64)
    except RuntimeError as error:
        raise PetReadError(f"{path}: its {syntax} pixels cannot be decoded: {error}") from error
    if pixels.shape != (1, *shape):
        raise PetReadError(f"{path}: decoded to {pixels.shape}, {named('Rows')} and {named('Columns')} say {shape}")
    return pixels[0]
