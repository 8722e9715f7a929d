"""Masks as a DICOM SEG that refers to the PET series they were drawn on."""

from __future__ import annotations

import logging
import unicodedata
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import ArrayLike, NDArray
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid
from pydicom.valuerep import DA, TM

from seganypet.pet.dicom_file import read_dicom
from seganypet.pet.headers import header_text, named
from seganypet.pet.segment_codes import code_of_label
from seganypet.pet.volume import PetVolume

# the patient's name goes into the SEG as the PET's header has it, with one component or several
warnings.filterwarnings("ignore", message='The string ".*" is unlikely to represent the intended person name')

logger = logging.getLogger(__name__)

UTF_8 = "ISO_IR 192"
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


def write_seg(
    masks: ArrayLike | Mapping[str, ArrayLike],
    volume: PetVolume,
    path: str | Path,
    *,
    labels: str | Sequence[str] | None = None,
    tracking_uids: Mapping[str, str] | None = None,
    series_description: str = "SegAnyPET segmentation",
    algorithm_type: str = "SEMIAUTOMATIC",
    algorithm_version: str = "1",
) -> Path:
    """One DICOM SEG (BINARY) with a segment per label, on the grid of the volume's own DICOM slices.

    Args:
        masks: name → mask [i, j, k] (masks may overlap); or one mask or label map [i, j, k], named by `labels`.
        volume: read from DICOM; its slices are referred to.
        path: of the file, ".dcm" by custom; its folder is made.
        labels: for one array: the name of value 1, or of the values 1, 2, ….
        tracking_uids: label → UID under which the lesion is followed between studies; new ones are made where missing.
        series_description: SeriesDescription of the SEG.
        algorithm_type: "SEMIAUTOMATIC" for clicks, "MANUAL" for a mask that a reader drew.
        algorithm_version: of the weights, goes into the algorithm's identification.

    Returns:
        The path.

    Raises:
        ValueError: a volume that was not read from DICOM, a mask of another shape, an empty mask (it is named), values
            without a label, or slices without a UID that a SEG refers to them by (it is named).
    """
    named_masks = _named_masks(masks, labels, volume.shape)
    slices = _source_headers(volume)
    pixels = np.stack([mask.T for mask in named_masks.values()], axis=-1).astype(np.uint8)  # [k, j, i, segments]
    known = tracking_uids or {}
    descriptions = [
        _description(number, label, known.get(label), algorithm_type, algorithm_version)
        for number, label in enumerate(named_masks, start=1)
    ]
    segmentation = Segmentation(
        source_images=slices,
        pixel_array=pixels,
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=300,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="SegAnyPET",
        manufacturer_model_name="SegAnyPET for MONAI",
        software_versions=algorithm_version,
        device_serial_number="0",
        content_label="SEGANYPET",
        series_description=series_description,
    )
    # of several SEGs of a study an archive tells the newest by these, which highdicom leaves out
    segmentation.SeriesDate, segmentation.SeriesTime = segmentation.ContentDate, segmentation.ContentTime
    segmentation.SpecificCharacterSet = _character_set(slices[0], named_masks)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentation.save_as(path)
    return path


def _named_masks(
    masks: ArrayLike | Mapping[str, ArrayLike], labels: str | Sequence[str] | None, shape: tuple[int, int, int]
) -> dict[str, NDArray[np.bool_]]:
    if isinstance(masks, Mapping):
        if labels is not None:
            raise ValueError("labels is for one array; masks that come by name have theirs")
        found = {str(label): np.asarray(mask) != 0 for label, mask in masks.items()}
    else:
        names = [labels] if isinstance(labels, str) else list(labels or ["segment"])
        array = np.asarray(masks)
        if len(set(names)) < len(names):
            raise ValueError(f"labels must differ from each other, got {names}")
        highest = int(array.max(initial=0))
        if highest > len(names) or (array.dtype.kind == "f" and not np.array_equal(array, np.rint(array))):
            raise ValueError(f"the mask holds values up to {array.max():g}, labels names {len(names)}: {names}")
        found = {name: array == value for value, name in enumerate(names, start=1)}
    if not found:
        raise ValueError("no masks to write")
    for label, mask in found.items():
        if mask.shape != shape:
            raise ValueError(f"mask {label!r} has shape {mask.shape}, the volume {shape}")
        if not mask.any():
            raise ValueError(f"mask {label!r} is empty, a DICOM SEG cannot hold it")
    return found


def _character_set(header: Dataset, labels: Iterable[str]) -> str | list[str]:
    """The series' own character set, so that the patient keeps the name; UTF-8 where a label's name does not fit it."""
    own = header.get("SpecificCharacterSet") or "ISO_IR 6"
    own = own if isinstance(own, str) else [str(part) for part in own]
    try:
        encodings = convert_encodings(own)
        for label in labels:
            if not any(_fits(label, encoding) for encoding in encodings):
                return UTF_8
    except LookupError:
        return UTF_8
    return own


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


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


def _one_text(label: str) -> str:
    """A label as one value of at most 64 characters: DICOM splits at a backslash and allows no control characters."""
    written = label.replace("\\", "/")
    return "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in written).strip()[:64].strip()


def _description(
    number: int, label: str, tracking_uid: str | None, algorithm_type: str, version: str
) -> SegmentDescription:
    code, name = code_of_label(label), _one_text(label) or f"segment {number}"
    identification = AlgorithmIdentificationSequence(name="SegAnyPET", family=_ARTIFICIAL_INTELLIGENCE, version=version)
    description = SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=code.category,
        segmented_property_type=code.type,
        algorithm_type=algorithm_type,
        algorithm_identification=None if algorithm_type == "MANUAL" else identification,
        tracking_uid=tracking_uid or generate_uid(),
        tracking_id=name,
    )
    description.RecommendedDisplayCIELabValue = list(_COLOURS[(number - 1) % len(_COLOURS)])
    if code.side is not None:
        item: Any = description.SegmentedPropertyTypeCodeSequence[0]
        item.SegmentedPropertyTypeModifierCodeSequence = DicomSequence([CodedConcept.from_code(code.side)])
    return description
