"""Which PET series an RTSTRUCT or a SEG was drawn on."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom.dataset import Dataset

from seganypet.pet import PetReadError, PetSeries
from seganypet.pet.headers import header_text


def referenced_series(structures: Dataset) -> str | None:
    """SeriesInstanceUID that an RTSTRUCT or SEG names, None where it names none."""
    for series in structures.get("ReferencedSeriesSequence") or []:
        return header_text(series, "SeriesInstanceUID")
    for frame in structures.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            for series in study.get("RTReferencedSeriesSequence") or []:
                return header_text(series, "SeriesInstanceUID")
    return None


def referenced_frames(structures: Dataset) -> set[str]:
    """Every FrameOfReferenceUID that it names."""
    found = {header_text(structures, "FrameOfReferenceUID")}
    for item in structures.get("ReferencedFrameOfReferenceSequence") or []:
        found.add(header_text(item, "FrameOfReferenceUID"))
    for item in structures.get("StructureSetROISequence") or []:
        found.add(header_text(item, "ReferencedFrameOfReferenceUID"))
    return {uid for uid in found if uid}


def series_drawn_on(structures: Dataset, scans: Mapping[str, PetSeries]) -> PetSeries:
    """The PET series it names; else the one readable PET in its frame of reference, as for contours drawn on a CT.

    Raises:
        PetReadError: none, or several in its frame of reference.
    """
    uid = referenced_series(structures)
    if uid is not None and uid in scans:
        return scans[uid]
    frames = referenced_frames(structures)
    here = [scan for scan in scans.values() if scan.frame_uid in frames and scan.problem is None]
    if len(here) == 1:
        return here[0]
    named = f"series {uid}, which is no PET series here" if uid else "no series"
    if not here:
        raise PetReadError(f"refers to {named}, and no PET is in its frame of reference")
    listed = ", ".join(scan.uid for scan in here)
    raise PetReadError(f"refers to {named}, and {len(here)} PET series are in its frame of reference: {listed}")
