"""What the segments of a DICOM SEG measure, as a DICOM SR that refers to it: PS3.16 TID 1500, a group per segment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from seganypet.pet.dicom_output import MANUFACTURER, PROGRAM, new_series, one_text, save_dated
from seganypet.pet.segment_codes import ANATOMICAL_STRUCTURE
from seganypet.pet.uptake import SUV_PEAK_DEFINITION, Uptake
from seganypet.pet.volume import PetVolume
from seganypet.version import version

_PERSON = CodedConcept("121006", "DCM", "Person")
_DEVICE = CodedConcept("121007", "DCM", "Device")
_WHOLE_BODY_PET = Code("44139-4", "LN", "PET whole body")
_COMMENT = Code("121106", "DCM", "Comment")
_VOLUME = Code("118565006", "SCT", "Volume")
_SUM_OF_VOXELS = Code("126030", "DCM", "Sum of segmented voxel volumes")
_ML = Code("ml", "UCUM", "milliliter")
_SUVBW = Code("126401", "DCM", "SUVbw")
_BY_BODY_WEIGHT = Code("126410", "DCM", "SUV body weight calculation method")
_SUVBW_UNIT = Code("{SUVbw}g/ml", "UCUM", "Standardized Uptake Value body weight")
_TLG = Code("126033", "DCM", "Total Lesion Glycolysis")
_G = Code("g", "UCUM", "gram")
_DERIVATIONS = {
    "suv_max": Code("56851009", "SCT", "Maximum"),
    "suv_mean": Code("373098007", "SCT", "Mean"),
    "suv_min": Code("255605001", "SCT", "Minimum"),
    "suv_peak": Code("126031", "DCM", "Peak Value Within ROI"),
}


def write_sr(
    seg: str | Path, uptakes: Sequence[Uptake], volume: PetVolume, path: str | Path, *, reader: str = ""
) -> Path:
    """Write the measures of a SEG's segments as a DICOM Comprehensive SR of its study.

    Each segment has a measurement group under its own tracking identifier: volume, SUVbw (maximum, mean, minimum,
    peak) and TLG. Where the SUV came from, or why there is none, is a comment in it. The report is unverified.

    Args:
        seg: from `write_seg`, of this volume.
        uptakes: of its segments, in their order.
        volume: what was measured.
        path: of the file, ".dcm" by custom; its folder is made.
        reader: who segmented, an observer besides this program; "" where that is not known.

    Returns:
        The path.

    Raises:
        ValueError: another number of measures than of segments.
    """
    segmentation = dcmread(seg)
    segments = segmentation.SegmentSequence
    if len(uptakes) != len(segments):
        raise ValueError(f"{len(uptakes)} measures for the {len(segments)} segments of {seg}")
    comment, name = _comment(volume), one_text(reader).replace("^", " ").replace("=", " ")
    groups = [_group(segmentation, *pair, comment) for pair in zip(segments, uptakes, strict=True)]
    report = MeasurementReport(
        observation_context=_observers(name), procedure_reported=_WHOLE_BODY_PET, imaging_measurements=groups
    )
    sr = ComprehensiveSR(
        evidence=[segmentation], content=report, is_complete=True, **new_series(301, "SegAnyPET measurements")
    )
    return save_dated(sr, segmentation, [comment, name], path)


def _observers(name: str) -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[PROGRAM]),  # the same for every installation, as the program's name is
        name=PROGRAM,
        manufacturer_name=MANUFACTURER,
        model_name=PROGRAM,
        serial_number="0",
    )
    person = ObserverContext(_PERSON, PersonObserverIdentifyingAttributes(name)) if name else None
    return ObservationContext(person, ObserverContext(_DEVICE, device))


def _group(
    segmentation: Dataset, segment: Dataset, uptake: Uptake, comment: str
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    (kind,) = segment.SegmentedPropertyTypeCodeSequence
    side = kind.get("SegmentedPropertyTypeModifierCodeSequence")
    finding, category = _code(kind), _code(segment.SegmentedPropertyCategoryCodeSequence[0])
    site = FindingSite(finding, _code(side[0]) if side else None)
    group = VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(segment.TrackingUID, segment.TrackingID),
        referenced_segment=ReferencedSegment(
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            segment.SegmentNumber,
            source_series=SourceSeriesForSegmentation(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID),
        ),
        finding_category=category,
        finding_type=finding,
        finding_sites=[site] if category == ANATOMICAL_STRUCTURE else None,
        algorithm_id=AlgorithmIdentification(PROGRAM, version()),
        measurements=_measurements(uptake),
    )
    group[0].ContentSequence.append(TextContentItem(_COMMENT, comment, RelationshipTypeValues.CONTAINS))
    return group


def _measurements(uptake: Uptake) -> list[Measurement]:
    measured = [Measurement(_VOLUME, uptake.volume_ml, _ML, method=_SUM_OF_VOXELS)]
    for name, derivation in _DERIVATIONS.items():
        value = getattr(uptake, name)
        if value is not None:
            measured.append(Measurement(_SUVBW, value, _SUVBW_UNIT, derivation=derivation, method=_BY_BODY_WEIGHT))
    if uptake.tlg is not None:
        measured.append(Measurement(_TLG, uptake.tlg, _G))
    return measured


def _comment(volume: PetVolume) -> str:
    """Where the SUV came from, which SUVpeak this is; or why there is no SUV."""
    said = volume.suv_provenance
    assert said is not None
    if said.reason is not None:
        return f"SUV unavailable: {said.reason}"
    return "; ".join((f"SUVbw: {said.rule}", *said.notes, f"SUVpeak: {SUV_PEAK_DEFINITION}"))


def _code(item: Dataset) -> Code:
    return Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)
