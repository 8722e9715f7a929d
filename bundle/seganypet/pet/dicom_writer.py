"""A PET volume as a valid static, attenuation-corrected DICOM series: for phantoms, demos and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from seganypet.pet.axes import LPS_RAS
from seganypet.pet.series_listing import PET_IMAGE_STORAGE
from seganypet.pet.volume import PetVolume

F18_HALF_LIFE_S = 6586.2
# DICOM's context groups 19, 20 and 21
_RECUMBENT = Code("102538003", "SCT", "recumbent")
_LYING = {"S": Code("40199007", "SCT", "Supine"), "P": Code("1240000", "SCT", "Prone")}
_FIRST = {"HF": Code("102540008", "SCT", "headfirst"), "FF": Code("102541007", "SCT", "feet-first")}


@dataclass(frozen=True)
class SyntheticPatient:
    """Whom the header describes.

    Args:
        name: PatientName, "Family^Given".
        patient_id: PatientID.
        sex: "M", "F" or "O".
        weight_kg: PatientWeight.
        height_m: PatientSize.
        position: "HFS" for head first supine, or "HFP", "FFS", "FFP"; the affine says where the voxels really lie.
    """

    name: str = "Phantom^Pet"
    patient_id: str = "PHANTOM"
    sex: str = "O"
    weight_kg: float = 75.0
    height_m: float = 1.75
    position: str = "HFS"


@dataclass(frozen=True)
class SyntheticScan:
    """When and with what it was scanned.

    Args:
        description: SeriesDescription.
        start: of the series and of its acquisition; SUV refers to it (DecayCorrection START).
        uptake_s: from injection to start.
        dose_bq: injected.
        half_life_s: of the nuclide; the default is fluorine-18's.
        seed: makes the UIDs; the same seed gives the same UIDs, None random ones.
    """

    description: str = "PET AC phantom"
    start: datetime = datetime(2026, 1, 15, 11, 0, 0)
    uptake_s: float = 3600.0
    dose_bq: float = 300e6
    half_life_s: float = F18_HALF_LIFE_S
    seed: int | None = None


_PATIENT = SyntheticPatient()
_SCAN = SyntheticScan()


def write_pet_dicom_series(
    voxels_suv: ArrayLike,
    affine: ArrayLike,
    folder: str | Path,
    *,
    patient: SyntheticPatient = _PATIENT,
    scan: SyntheticScan = _SCAN,
    instance_numbers: Sequence[int] | None = None,
) -> list[Path]:
    """One file per slice in Bq/mL, 16 bits, with a RescaleSlope of its own; `read_pet` gives the voxels back.

    A value comes back within half a slope, a 131,070th of its slice's maximum. Any affine with axes at right angles can
    be written. DICOM readers stack slices along row × column direction: where the affine is left-handed (a negative
    determinant), the same patient space comes back with k reversed.

    Args:
        voxels_suv: [i, j, k] SUVbw, not negative, finite.
        affine: [4, 4], voxel indices → RAS mm.
        folder: made where it is missing; files are named slice_0000.dcm and so on along k.
        patient: whom the header describes.
        scan: times, dose, description.
        instance_numbers: [slices] InstanceNumber along k, to shuffle them; 1, 2, … by default.

    Returns:
        The files along k of `voxels_suv`.

    Raises:
        ValueError: voxels that are negative, not finite or not 3-D, an affine whose axes are not at right angles, or
            another position of the patient than the four.
    """
    volume = PetVolume(np.asarray(voxels_suv, dtype=np.float32), np.asarray(affine))
    if float(volume.voxels.min()) < 0:
        raise ValueError(f"PET values written as DICOM must not be negative, got {float(volume.voxels.min()):g}")
    directions = volume.affine[:3, :3] / np.array(volume.spacing_mm)
    if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-4):
        raise ValueError(f"DICOM slices need axes at right angles, got directions {directions.tolist()}")
    slices = volume.shape[2]
    numbers = list(range(1, slices + 1)) if instance_numbers is None else [int(number) for number in instance_numbers]
    if len(numbers) != slices:
        raise ValueError(f"{len(numbers)} instance numbers for {slices} slices")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    bqml_per_suv = scan.dose_bq * 2.0 ** (-scan.uptake_s / scan.half_life_s) / (1000.0 * patient.weight_kg)
    common = _series_header(volume, patient, scan)
    uids = _uids(scan.seed, "instance", slices)
    paths = []
    for k, number in enumerate(numbers):
        header = _slice_header(common, volume, k, number, uids[k])
        _put_pixels(header, volume.voxels[:, :, k].T.astype(np.float64) * bqml_per_suv)
        paths.append(folder / f"slice_{k:04d}.dcm")
        header.save_as(paths[-1], write_like_original=False)
    return paths


def _series_header(volume: PetVolume, patient: SyntheticPatient, scan: SyntheticScan) -> Dataset:
    """All that the slices share."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.ImageType = ["ORIGINAL", "PRIMARY"]
    header.SOPClassUID = PET_IMAGE_STORAGE
    date, time = _date_time(scan.start)
    header.StudyDate = header.SeriesDate = header.AcquisitionDate = header.ContentDate = date
    header.StudyTime = header.SeriesTime = header.AcquisitionTime = header.ContentTime = time
    header.AccessionNumber = ""
    header.Modality = "PT"
    header.Manufacturer = "SegAnyPET phantom"
    header.ReferringPhysicianName = ""
    header.StudyDescription = "Synthetic PET"
    header.SeriesDescription = scan.description
    header.PatientName = patient.name
    header.PatientID = patient.patient_id
    header.PatientBirthDate = ""
    header.PatientSex = patient.sex
    header.PatientSize = f"{patient.height_m:.4g}"
    header.PatientWeight = f"{patient.weight_kg:.6g}"
    header.SliceThickness = _decimal(volume.spacing_mm[2])
    header.ActualFrameDuration = "120000"
    header.StudyInstanceUID, header.SeriesInstanceUID, header.FrameOfReferenceUID = _uids(scan.seed, "series", 3)
    header.StudyID = "1"
    header.SeriesNumber = "1"
    header.Laterality = ""
    header.PositionReferenceIndicator = ""
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.Columns, header.Rows = volume.shape[:2]
    directions = LPS_RAS[:3, :3] @ volume.affine[:3, :3] / np.array(volume.spacing_mm)
    header.PixelSpacing = [_decimal(volume.spacing_mm[1]), _decimal(volume.spacing_mm[0])]
    header.ImageOrientationPatient = [_decimal(value) for value in (*directions[:, 0], *directions[:, 1])]
    header.CorrectedImage = ["DECY", "ATTN", "SCAT", "DTIM", "RAN", "NORM"]
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit = 15
    header.PixelRepresentation = 0
    header.LossyImageCompression = "00"
    header.RadiopharmaceuticalInformationSequence = DicomSequence([_injection(scan)])
    first, lying = _position(patient.position)
    header.PatientOrientationCodeSequence = DicomSequence([lying])
    header.PatientGantryRelationshipCodeSequence = DicomSequence([first])
    header.NumberOfSlices = volume.shape[2]
    header.SeriesType = ["STATIC", "IMAGE"]
    header.Units = "BQML"
    header.CountsSource = "EMISSION"
    header.RandomsCorrectionMethod = "NONE"
    header.AttenuationCorrectionMethod = "synthetic"
    header.DecayCorrection = "START"
    header.CollimatorType = "NONE"
    header.FrameReferenceTime = "0"
    header.DecayFactor = "1"
    return header


def _position(position: str) -> tuple[Dataset, Dataset]:
    """Codes of what goes into the gantry first, and of how the patient lies: what PET has for PatientPosition."""
    if position[:2] not in _FIRST or position[2:] not in _LYING:
        raise ValueError(f"position must be HFS, HFP, FFS or FFP, got {position!r}")
    lying = _code(_RECUMBENT)
    lying.PatientOrientationModifierCodeSequence = DicomSequence([_code(_LYING[position[2:]])])
    return _code(_FIRST[position[:2]]), lying


def _code(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _injection(scan: SyntheticScan) -> Dataset:
    item = Dataset()
    injected = scan.start - timedelta(seconds=scan.uptake_s)
    date, time = _date_time(injected)
    item.Radiopharmaceutical = "Fluorodeoxyglucose F^18^"
    item.RadiopharmaceuticalStartTime = time
    item.RadiopharmaceuticalStartDateTime = date + time
    item.RadionuclideTotalDose = _decimal(scan.dose_bq)
    item.RadionuclideHalfLife = _decimal(scan.half_life_s)
    item.RadionuclidePositronFraction = "0.967"
    item.RadionuclideCodeSequence = DicomSequence([])
    return item


def _slice_header(common: Dataset, volume: PetVolume, k: int, number: int, uid: UID) -> Dataset:
    header = Dataset()
    header.update(common)
    header.file_meta = FileMetaDataset()
    header.file_meta.MediaStorageSOPClassUID = UID(PET_IMAGE_STORAGE)
    header.file_meta.MediaStorageSOPInstanceUID = uid
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.is_little_endian, header.is_implicit_VR = True, False
    header.SOPInstanceUID = uid
    header.InstanceNumber = str(number)
    header.ImageIndex = k + 1
    position = (LPS_RAS @ volume.affine @ (0, 0, k, 1))[:3]
    header.ImagePositionPatient = [_decimal(value) for value in position]
    return header


def _put_pixels(header: Dataset, bqml: NDArray[np.float64]) -> None:
    """[rows, columns] as whole numbers up to 65,535 and the slope that turns them back."""
    slope = _decimal(max(float(bqml.max()), 1.0) / 65535 * (1 + 1e-6))
    header.RescaleSlope, header.RescaleIntercept = slope, "0"
    header.PixelData = np.rint(bqml / float(slope)).astype("<u2").tobytes()
    header["PixelData"].VR = "OW"


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters (VR DS), as precise as that allows."""
    for digits in range(14, 5, -1):
        text = f"{float(value):.{digits}g}"
        if len(text) <= 16:
            return text
    raise ValueError(f"{value!r} does not fit into 16 characters")


def _date_time(moment: datetime) -> tuple[str, str]:
    return f"{moment:%Y%m%d}", f"{moment:%H%M%S}.{moment.microsecond:06d}"


def _uids(seed: int | None, purpose: str, count: int) -> list[UID]:
    if seed is None:
        return [generate_uid() for _ in range(count)]
    return [generate_uid(entropy_srcs=[f"{purpose} {seed} {index}"]) for index in range(count)]
