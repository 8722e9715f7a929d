"""The DICOM SR beside a SEG: read back with highdicom, coded as the field's reference tools code it, valid DICOM."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pydicom
import pytest
from highdicom.sr import srread
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from series_editing import edit

from seganypet.pet import PetVolume, SegmentOrigin, Uptake, measure_uptake, read_pet, write_seg, write_sr

pytestmark = pytest.mark.filterwarnings("ignore:The string .* is unlikely to represent")

ORIGINS = {"left kidney": SegmentOrigin("1.2.3.4"), "lesion 1": SegmentOrigin("1.2.3.5", drawn=True)}
Coded = tuple[Code, ...]


def written(volume: PetVolume, folder: Path, **said: Any) -> tuple[Path, Path, list[Uptake]]:
    """A SEG of two overlapping targets, its SR, and what the SR was told."""
    masks = {"left kidney": volume.voxels > 2, "lesion 1": volume.voxels > 15}
    uptakes = [measure_uptake(volume, mask) for mask in masks.values()]
    seg = write_seg(masks, volume, folder / "seg.dcm", origins=ORIGINS)
    return seg, write_sr(seg, uptakes, volume, folder / "out" / "sr.dcm", **said), uptakes


def items(parent: Dataset) -> list[Dataset]:
    return list(parent.get("ContentSequence", []))


def code(sequence: Any) -> Code:
    (item,) = sequence
    return Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)


def groups_of(report: Dataset) -> list[Dataset]:
    (measurements,) = (one for one in items(report) if code(one.ConceptNameCodeSequence).value == "126010")
    return items(measurements)


def comments(report: Dataset) -> list[str]:
    """What is said of each group in plain words."""
    return [items(group)[-1].TextValue for group in groups_of(report)]


def measured(report: Dataset) -> list[dict[Coded, float]]:
    """Of each measurement group the numbers, by name, unit and derivation; SNOMED RT counts as SNOMED CT."""
    groups = []
    for group in groups_of(report):
        numbers = {}
        for one in items(group):
            if one.ValueType == "NUM":
                (value,) = one.MeasuredValueSequence
                unit = code(value.MeasurementUnitsCodeSequence)
                said = {
                    code(more.ConceptNameCodeSequence).meaning: code(more.ConceptCodeSequence) for more in items(one)
                }
                name = code(one.ConceptNameCodeSequence)
                numbers[name, unit, said.get("Derivation")] = float(value.NumericValue)
        groups.append(numbers)
    return groups


def test_the_numbers_of_each_segment_come_back(tmp_path, axial_series):
    volume = read_pet(axial_series)
    seg, sr, uptakes = written(volume, tmp_path, reader="Ann Müller")
    report, segmentation = srread(sr), pydicom.dcmread(seg)
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName"):
        assert report[keyword].value == segmentation[keyword].value
    groups = report.content.get_volumetric_roi_measurement_groups()
    for number, (group, uptake, name) in enumerate(zip(groups, uptakes, ORIGINS, strict=True), start=1):
        assert (group.tracking_identifier, group.tracking_uid) == (name, ORIGINS[name].tracking_uid)
        assert group.referenced_segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        assert group.referenced_segment.referenced_segment_numbers == [number]
        values = [
            (one.name.meaning, one.derivation and one.derivation.meaning, one.value) for one in group.get_measurements()
        ]
        assert values == [
            ("Volume", None, pytest.approx(uptake.volume_ml, rel=1e-12)),
            ("SUVbw", "Maximum", pytest.approx(uptake.suv_max, rel=1e-12)),
            ("SUVbw", "Mean", pytest.approx(uptake.suv_mean, rel=1e-12)),
            ("SUVbw", "Minimum", pytest.approx(uptake.suv_min, rel=1e-12)),
            ("SUVbw", "Peak Value Within ROI", pytest.approx(uptake.suv_peak, rel=1e-12)),
            ("Total Lesion Glycolysis", None, pytest.approx(uptake.tlg, rel=1e-12)),
        ]
    kidney, lesion = groups
    assert kidney.finding_type.meaning == "Kidney"
    assert kidney.finding_sites[0].laterality.meaning == "Left"
    assert lesion.finding_type.meaning == "Lesion"
    assert lesion.finding_sites == []
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == segmentation.SOPInstanceUID


def test_who_observed_and_where_the_suv_came_from(tmp_path, axial_series):
    volume = read_pet(axial_series)
    report = pydicom.dcmread(written(volume, tmp_path, reader="Ann^Müller\\")[1])
    (name,) = (str(one.PersonName) for one in items(report) if one.ValueType == "PNAME")
    assert name == "Ann Müller/"
    assert report.VerificationFlag == "UNVERIFIED"
    for comment in comments(report):
        assert comment.startswith(f"SUVbw: {volume.suv_provenance.rule}; ")
        assert "SUVpeak: highest mean over a 1 mL sphere" in comment
    unknown = pydicom.dcmread(written(volume, tmp_path)[1])
    assert [one for one in items(unknown) if one.ValueType == "PNAME"] == []


def test_without_suv_there_is_the_volume_and_why(tmp_path, axial_series):
    edit(axial_series, lambda header: delattr(header, "PatientWeight"))
    volume = read_pet(axial_series)
    _, sr, uptakes = written(volume, tmp_path)
    for group, uptake in zip(srread(sr).content.get_volumetric_roi_measurement_groups(), uptakes, strict=True):
        (only,) = group.get_measurements()
        assert (only.name.meaning, only.value) == ("Volume", pytest.approx(uptake.volume_ml))
    assert comments(pydicom.dcmread(sr)) == [f"SUV unavailable: {volume.suv_provenance.reason}"] * 2
    assert "PatientWeight" in volume.suv_provenance.reason


def test_measures_of_other_segments_are_refused(tmp_path, axial_series):
    volume = read_pet(axial_series)
    seg, _, uptakes = written(volume, tmp_path)
    with pytest.raises(ValueError, match="1 measures for the 2 segments"):
        write_sr(seg, uptakes[:1], volume, tmp_path / "other.dcm")
    assert not (tmp_path / "other.dcm").exists()


def test_it_is_coded_as_the_reference_report(tmp_path, axial_series, shared):
    """QIICR's dcmqi wrote that one, of a head and neck primary."""
    (reference,) = measured(pydicom.dcmread(shared / "data" / "seg_sr_example" / "sr.dcm"))
    for group in measured(pydicom.dcmread(written(read_pet(axial_series), tmp_path)[1])):
        assert len(group) == 6
        for coded in group:
            assert any(all(a == b for a, b in zip(coded, other, strict=True)) for other in reference), coded


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed")
@pytest.mark.parametrize("reader", ["", "Ann"])
def test_it_is_valid_dicom(tmp_path, axial_series, reader):
    _, sr, _ = written(read_pet(axial_series), tmp_path, reader=reader)
    said = subprocess.run(["dciodvfy", str(sr)], capture_output=True, text=True, check=False).stderr
    assert "ComprehensiveSR" in said
    assert "Error" not in said


@pytest.mark.parametrize(
    ("charset", "name", "reader"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", "Ann"),
        ("ISO_IR 100", "Müller^Jörg", "山田"),
        ("", "Miller^Ann", "Jörg"),
    ],
)
def test_the_patient_and_the_reader_keep_their_names(tmp_path, axial_series, charset, name, reader):
    def rename(header):
        header.SpecificCharacterSet, header.PatientName = charset, name

    edit(axial_series, rename)
    report = pydicom.dcmread(written(read_pet(axial_series), tmp_path, reader=reader)[1])
    assert str(report.PatientName) == name
    assert [str(one.PersonName) for one in items(report) if one.ValueType == "PNAME"] == [reader]
    assert items(groups_of(report)[0])[0].TextValue == "left kidney"
