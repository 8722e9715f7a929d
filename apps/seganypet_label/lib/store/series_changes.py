"""Whose a PET is and what SUV rests on, compared between the file that was fetched and what the archive has now."""

from __future__ import annotations

from pydicom.dataset import Dataset

from seganypet.pet.headers import TRACER, canonical, texts_in

WHO = ("PatientID", "PatientName", "PatientBirthDate", "AccessionNumber")  # a SEG repeats it
FIELDS = (  # what `differences` looks at
    *WHO,
    "PatientWeight",
    "PatientSize",
    "PatientSex",
    "Units",
    "SUVType",
    "CorrectedImage",
    "DecayCorrection",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "TimezoneOffsetFromUTC",
    "FrameReferenceTime",
    "ActualFrameDuration",
    "RescaleSlope",
    "RescaleIntercept",
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
)
ASKED_FOR = (*FIELDS, TRACER)


def differences(fetched: Dataset, there: Dataset | None) -> tuple[str, ...]:
    """The fields of one instance that its archive says otherwise than its file, with what it says.

    Args:
        fetched: header of the file.
        there: header of the same instance in the archive, None where it is not there any more.

    Returns:
        Sentences, none where both say the same in whatever writing.
    """
    if there is None:
        return ("an instance is not there any more",)
    pairs = ((field, _said(fetched, field), _said(there, field)) for field in FIELDS)
    return tuple(f"{field} is {now or 'missing'}" for field, before, now in pairs if before != now)


def _said(header: Dataset, field: str) -> str:
    """A field in one writing, "" where it is missing."""
    return ", ".join(canonical(field, text) for text in texts_in(header, field))
