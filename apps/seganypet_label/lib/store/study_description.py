"""Which patient, which study, which tracer, and where the SUV came from: what must be in view while somebody reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydicom

from seganypet.pet import PetVolume


def describe_study(info: Mapping[str, Any], volume: PetVolume) -> dict[str, Any]:
    """Words for a study, "" where nothing is known; read from its first slice where it is DICOM.

    Args:
        info: what the index says of it.
        volume: as read.
    """
    about = info.get("about") or {}
    header = pydicom.Dataset()
    if volume.source is not None and volume.source.is_dicom:
        header = pydicom.dcmread(volume.source.files[0], stop_before_pixels=True)
    provenance = volume.suv_provenance
    return {
        "patient": shown_name(header.get("PatientName") or about.get("patient")),
        "patient_id": str(header.get("PatientID", "") or about.get("patient_id", "")),
        "birth_date": _date(header.get("PatientBirthDate", "")),
        "sex": str(header.get("PatientSex", "") or ""),
        "date": _date(header.get("StudyDate", "") or about.get("date", "")),
        "description": str(header.get("SeriesDescription", "") or about.get("description") or info.get("name", "")),
        "tracer": _tracer(header),
        "dicom": bool(header),
        "suv": volume.suv_known,
        "units": volume.units,
        "suv_from": (provenance.rule if provenance else None) or "",
        "suv_missing": (provenance.reason if provenance else None) or "",
        "suv_notes": list(provenance.notes) if provenance else [],
    }


def shown_name(patient: Any) -> str:
    """A DICOM name for people: "Yamada^Tarou=山田^太郎" is "Yamada, Tarou = 山田, 太郎"; empty parts are left out."""
    forms = (", ".join(part for part in form.split("^") if part.strip()) for form in str(patient or "").split("="))
    return " = ".join(form for form in forms if form)


def _tracer(header: pydicom.Dataset) -> str:
    for item in header.get("RadiopharmaceuticalInformationSequence", None) or ():
        name = str(item.get("Radiopharmaceutical", "") or "")
        for codes in ("RadiopharmaceuticalCodeSequence", "RadionuclideCodeSequence"):
            for code in item.get(codes, None) or () if not name else ():
                name = str(code.get("CodeMeaning", "") or "")
        if name:
            return name
    return ""


def _date(value: Any) -> str:
    text = str(value or "")
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdecimal() else text
