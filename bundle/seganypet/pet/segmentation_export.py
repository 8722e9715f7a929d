"""Masks as a DICOM SEG that refers to the PET series they were drawn on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import ArrayLike, NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid
from pydicom.valuerep import DA, TM

from seganypet.pet.dicom_file import read_dicom
from seganypet.pet.dicom_output import new_series, one_text, save_dated
from seganypet.pet.headers import header_text, named
from seganypet.pet.segment_codes import code_of_label
from seganypet.pet.volume import PetVolume

# the patient's name goes into the SEG as the PET's header has it, with one component or several
warnings.filterwarnings("ignore", message='The string ".*" is unlikely to represent the intended person name')

logger = logging.getLogger(__name__)

_ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
# CIELab as DICOM stores it (PS3.3 C.10.7.1.1), for the segments in turn
_COLOURS = (
    (34891, 53480, 50167),  # red
    (57497, 10747, 54273),  # green
    (63660, 27356, 57177),  # yellow
    (21165, 53247, 5177),  # blue
    (39533, 58142, 17265),  # magenta
    (59711, 20537, 29266),  # cyan
    (45571, 42327, 52304),  # orange
)
# what a SEG refers to the images by
_REFERRED_BY = ("FrameOfReferenceUID", "StudyInstanceUID", "SOPClassUID", "SOPInstanceUID")
# what a SEG takes over from the images, and DICOM allows to be empty but not absent
_MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)
_SEXES = ("M", "F", "O")


@dataclass(frozen=True)
class SegmentOrigin:
    """Where a segment came from, as its description says.

    Args:
        tracking_uid: under which the lesion is followed between studies; a new one is made if None.
        drawn: whether a reader drew it, without the network.
        weights: of the network, the version in the algorithm's identification.
    """

    tracking_uid: str | None = None
    drawn: bool = False
    weights: str = "unknown"


def write_seg(
    masks: ArrayLike | Mapping[str, ArrayLike],
    volume: PetVolume,
    path: str | Path,
    *,
    labels: str | Sequence[str] | None = None,
    origins: Mapping[str, SegmentOrigin] | None = None,
    series_description: str = "SegAnyPET segmentation",
) -> Path:
    """One DICOM SEG (BINARY) with a segment per label, on the grid of the volume's own DICOM slices.

    Memory goes by the volume's voxels; where masks overlap, by those times the segments.

    Args:
        masks: name → mask [i, j, k] (masks may overlap); or one mask or label map [i, j, k], named by `labels`.
        volume: read from DICOM; its slices are referred to.
        path: of the file, ".dcm" by custom; its folder is made.
        labels: for one array: the name of value 1, or of the values 1, 2, ….
        origins: label → where its mask came from; of unknown weights where it is missing.
        series_description: SeriesDescription of the SEG.

    Returns:
        The path.

    Raises:
        ValueError: a volume that was not read from DICOM, a mask of another shape, an empty mask (it is named), values
            without a label, or slices without a UID that a SEG refers to them by (it is named).
    """
    names, pixels = _segments(masks, labels, volume.shape)
    slices = _source_headers(volume)
    known = origins or {}
    descriptions = [
        _description(number, label, known.get(label, SegmentOrigin())) for number, label in enumerate(names, start=1)
    ]
    segmentation = Segmentation(
        source_images=slices,
        pixel_array=pixels.swapaxes(0, 2),  # [k, j, i] or [k, j, i, segments]
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        content_label="SEGANYPET",
        **new_series(300, series_description),
    )
    return save_dated(segmentation, slices[0], names, path)


def _segments(
    masks: ArrayLike | Mapping[str, ArrayLike], labels: str | Sequence[str] | None, shape: tuple[int, int, int]
) -> tuple[list[str], NDArray[np.unsignedinteger]]:
    """Names of the segments, and the label map [i, j, k] of their numbers; [i, j, k, segments] where they overlap."""
    if isinstance(masks, Mapping):
        if labels is not None:
            raise ValueError("labels is for one array; masks that come by name have theirs")
        names, pixels = [str(label) for label in masks], _laid_out(masks, shape)
    else:
        names = [labels] if isinstance(labels, str) else list(labels or ["segment"])
        array = np.asarray(masks)
        if len(set(names)) < len(names):
            raise ValueError(f"labels must differ from each other, got {names}")
        highest = int(array.max(initial=0))
        if highest > len(names) or (array.dtype.kind == "f" and not np.array_equal(array, np.rint(array))):
            raise ValueError(f"the mask holds values up to {array.max():g}, labels names {len(names)}: {names}")
        _check_shape(array, names[0], shape)
        pixels = np.maximum(array, 0).astype(_numbers_of(names))  # what is below zero has no name
    if not names:
        raise ValueError("no masks to write")
    held = pixels.any((0, 1, 2)) if pixels.ndim == 4 else np.bincount(pixels.ravel(), minlength=len(names) + 1)[1:]
    for label, voxels in zip(names, held, strict=True):
        if not voxels:
            raise ValueError(f"mask {label!r} is empty, a DICOM SEG cannot hold it")
    return names, pixels


def _laid_out(masks: Mapping[str, ArrayLike], shape: tuple[int, int, int]) -> NDArray[np.unsignedinteger]:
    """Masks by name as a label map, or one beside the other where they overlap."""
    pixels = np.zeros(shape, _numbers_of(masks))
    for number, (label, mask) in enumerate(masks.items(), start=1):
        voxels = np.asarray(mask) != 0
        _check_shape(voxels, label, shape)
        if pixels[voxels].any():
            return np.stack([np.asarray(one) != 0 for one in masks.values()], axis=-1).astype(np.uint8)
        pixels[voxels] = number
    return pixels


def _numbers_of(names: Sized) -> type[np.unsignedinteger]:
    return np.uint8 if len(names) < 256 else np.uint16


def _check_shape(mask: NDArray[Any], label: str, shape: tuple[int, int, int]) -> None:
    if mask.shape != shape:
        raise ValueError(f"mask {label!r} has shape {mask.shape}, the volume {shape}")


def _source_headers(volume: PetVolume) -> list[Dataset]:
    """Headers of the slices in the order of k, complete enough to be referred to.

    What de-identification left in a field that DICOM does not allow there is left out, and logged.
    """
    if volume.source is None or not volume.source.is_dicom:
        raise ValueError("a DICOM SEG refers to DICOM slices; this volume was not read from DICOM: write NIfTI")
    slices: list[Dataset] = []
    left_out: dict[str, str] = {}
    for file in volume.source.files:
        header = read_dicom(file, pixels=False)
        for keyword in _REFERRED_BY:
            if header_text(header, keyword) is None:
                raise ValueError(f"{named(keyword)} is missing in {file}: a SEG cannot refer to it")
        for keyword in _MAY_BE_EMPTY:
            text = header_text(header, keyword)
            if text is not None and not _allowed(keyword, text):
                left_out[keyword] = text
                text = None
            if text is None:
                setattr(header, keyword, "")
        if header_text(header, "SliceThickness") is None:
            header.SliceThickness = f"{volume.spacing_mm[2]:.6g}"
        header.pop("NumberOfFrames", None)  # some say 1; highdicom takes whoever says anything for multi-frame
        slices.append(header)
    if left_out:
        said = ", ".join(f"{named(keyword)} {text!r}" for keyword, text in left_out.items())
        logger.warning("the SEG leaves out what DICOM does not allow there: %s", said)
    return slices


def _allowed(keyword: str, text: str) -> bool:
    """Whether a patient's or study's field holds what DICOM allows there: a sex it knows, a date, a time."""
    if keyword == "PatientSex":
        return text in _SEXES
    kind = {"DA": DA, "TM": TM}.get(dictionary_VR(keyword))
    try:
        return kind is None or kind(text) is not None
    except ValueError:
        return False


def _description(number: int, label: str, origin: SegmentOrigin) -> SegmentDescription:
    code, name = code_of_label(label), one_text(label) or f"segment {number}"
    identification = AlgorithmIdentificationSequence(
        name="SegAnyPET", family=_ARTIFICIAL_INTELLIGENCE, version=one_text(origin.weights)
    )
    description = SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=code.category,
        segmented_property_type=code.type,
        algorithm_type="MANUAL" if origin.drawn else "SEMIAUTOMATIC",
        algorithm_identification=None if origin.drawn else identification,
        tracking_uid=origin.tracking_uid or generate_uid(),
        tracking_id=name,
    )
    description.RecommendedDisplayCIELabValue = list(_COLOURS[(number - 1) % len(_COLOURS)])
    if code.side is not None:
        item: Any = description.SegmentedPropertyTypeCodeSequence[0]
        item.SegmentedPropertyTypeModifierCodeSequence = DicomSequence([CodedConcept.from_code(code.side)])
    return description
