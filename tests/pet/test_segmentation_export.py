"""DICOM SEG: read back bit by bit with highdicom, refers to the right slices, names what it holds."""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.seg import segread
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.codedict import codes
from series_editing import edit

from seganypet.pet import (
    PetVolume,
    SegmentOrigin,
    read_pet,
    read_seg,
    segmentation_export,
    write_pet_dicom_series,
    write_seg,
)
from seganypet.pet.segment_codes import _ANATOMY, _CATEGORY, _LESIONS, _SIDES, code_of_label, is_lesion

pytestmark = pytest.mark.filterwarnings("ignore:The string .* is unlikely to represent")

AFFINES = {
    "axial": [[-4, 0, 0, 90], [0, -3, 0, 80], [0, 0, 2.5, -700], [0, 0, 0, 1]],
    "feet first": [[4, 0, 0, 90], [0, -3, 0, 80], [0, 0, -2.5, -700], [0, 0, 0, 1]],
    "sagittal": [[0, 0, 2.5, 5], [-4, 0, 0, 6], [0, -3, 0, 7], [0, 0, 0, 1]],
    "oblique": [[-3.2, 1.8, 0, 90], [-2.4, -2.4, 0, 80], [0, 0, 2.5, -700], [0, 0, 0, 1]],
}


def read_back(path, volume) -> np.ndarray:
    """[i, j, k, segments] as highdicom reads them, slice by slice of the source."""
    uids = [pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in volume.source.files]
    segmentation = segread(path)
    numbers = list(segmentation.segment_numbers)
    return segmentation.get_pixels_by_source_instance(uids, segment_numbers=numbers).transpose(2, 1, 0, 3)


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_bits_come_back_in_any_orientation(tmp_path, suv, affine):
    write_pet_dicom_series(suv, affine, tmp_path / "pet", instance_numbers=[3, 7, 1, 6, 2, 5, 4])
    volume = read_pet(tmp_path / "pet")
    first, second = volume.suv > 2, volume.suv > 15  # they overlap
    path = write_seg({"left kidney": first, "lesion 1": second}, volume, tmp_path / "out" / "seg.dcm")
    back = read_back(path, volume)
    np.testing.assert_array_equal(back[..., 0], first)
    np.testing.assert_array_equal(back[..., 1], second)
    # the geometry that the file itself states is that of the slices
    segmentation = pydicom.dcmread(path)
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    source = pydicom.dcmread(volume.source.files[0])
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == source.ImageOrientationPatient
    assert shared.PixelMeasuresSequence[0].PixelSpacing == source.PixelSpacing
    places = {
        tuple(frame.PlanePositionSequence[0].ImagePositionPatient)
        for frame in segmentation.PerFrameFunctionalGroupsSequence
    }
    assert places <= {tuple(pydicom.dcmread(file).ImagePositionPatient) for file in volume.source.files}


def test_what_the_file_says(tmp_path, axial_series, suv):
    volume = read_pet(axial_series)
    masks = {"My Liver": volume.suv > 1, "thigh tumour": volume.suv > 10}
    origins = {"My Liver": SegmentOrigin(weights="model.pt 7a"), "thigh tumour": SegmentOrigin("1.2.3.4", drawn=True)}
    path = write_seg(masks, volume, tmp_path / "seg.dcm", origins=origins)
    file, source = pydicom.dcmread(path), pydicom.dcmread(volume.source.files[0])
    assert file.Modality == "SEG"
    assert file.SegmentationType == "BINARY"
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"):
        assert file[keyword].value == source[keyword].value
    assert file.SeriesInstanceUID != source.SeriesInstanceUID
    assert file.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    metadata = Path(__file__).resolve().parents[2] / "bundle" / "configs" / "metadata.json"
    assert file.SoftwareVersions == json.loads(metadata.read_text())["version"]
    liver, tumour = file.SegmentSequence
    assert [liver.SegmentLabel, tumour.SegmentLabel] == ["My Liver", "thigh tumour"]
    assert tumour.SegmentedPropertyTypeCodeSequence[0].CodeValue == "108369006"
    assert tumour.TrackingID == "thigh tumour"
    assert tumour.TrackingUID == "1.2.3.4"
    assert liver.TrackingUID not in ("", tumour.TrackingUID)
    assert [liver.SegmentAlgorithmType, tumour.SegmentAlgorithmType] == ["SEMIAUTOMATIC", "MANUAL"]
    assert liver.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == "model.pt 7a"
    assert "SegmentationAlgorithmIdentificationSequence" not in tumour


def test_label_map_and_single_mask(tmp_path, axial_series):
    volume = read_pet(axial_series)
    labels = (volume.suv > 1).astype(np.uint8) + (volume.suv > 10)
    back = read_back(write_seg(labels, volume, tmp_path / "a.dcm", labels=["liver", "lesion"]), volume)
    np.testing.assert_array_equal(back[..., 0] + 2 * back[..., 1], labels)
    path = write_seg(labels > 0, volume, tmp_path / "b.dcm", labels="spleen")
    np.testing.assert_array_equal(read_back(path, volume)[..., 0], labels > 0)


def test_more_segments_than_a_byte_numbers(tmp_path, axial_series):
    volume = read_pet(axial_series)
    labels = np.zeros(volume.shape, np.int16)
    labels.ravel()[:300] = np.arange(1, 301)
    names = [f"lesion {n}" for n in range(1, 301)]
    back = read_seg(write_seg(labels, volume, tmp_path / "map.dcm", labels=names), volume)
    by_name = {name: labels == n for n, name in enumerate(names, start=1)}
    again = read_seg(write_seg(by_name, volume, tmp_path / "names.dcm"), volume)
    for name, mask in by_name.items():
        np.testing.assert_array_equal(back[name], mask)
        np.testing.assert_array_equal(again[name], mask)


def test_masks_apart_are_not_laid_beside_each_other(tmp_path, axial_series, monkeypatch):
    """Sixty lesions of a whole body would be sixty volumes."""
    volume, given = read_pet(axial_series), []
    real = segmentation_export.Segmentation
    monkeypatch.setattr(
        segmentation_export, "Segmentation", lambda **said: given.append(said["pixel_array"]) or real(**said)
    )
    apart = {"a": volume.suv > 10, "b": volume.suv < 0.5}
    write_seg(apart, volume, tmp_path / "apart.dcm")
    write_seg({**apart, "c": volume.suv > 5}, volume, tmp_path / "over.dcm")
    assert [array.shape for array in given] == [volume.shape[::-1], (*volume.shape[::-1], 3)]


def test_left_and_right_are_modifiers(tmp_path, axial_series):
    volume = read_pet(axial_series)
    path = write_seg(volume.suv > 1, volume, tmp_path / "seg.dcm", labels="kidney_right")
    kind = pydicom.dcmread(path).SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("64033007", "SCT")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"


def test_headers_with_gaps_are_filled(tmp_path, axial_series):
    def strip(dataset):
        for keyword in ("PatientBirthDate", "AccessionNumber", "StudyID", "ReferringPhysicianName", "SliceThickness"):
            delattr(dataset, keyword)

    edit(axial_series, strip)
    volume = read_pet(axial_series)
    back = read_back(write_seg(volume.suv > 1, volume, tmp_path / "seg.dcm", labels="liver"), volume)
    np.testing.assert_array_equal(back[..., 0], volume.suv > 1)


@pytest.mark.parametrize("count", [1, None])
def test_slices_that_say_they_are_one_frame_are_no_multi_frame(tmp_path, axial_series, count):
    edit(axial_series, lambda dataset: setattr(dataset, "NumberOfFrames", count))
    volume = read_pet(axial_series)
    back = read_back(write_seg(volume.suv > 1, volume, tmp_path / "seg.dcm", labels="liver"), volume)
    np.testing.assert_array_equal(back[..., 0], volume.suv > 1)


def test_what_is_refused(tmp_path, axial_series):
    volume = read_pet(axial_series)
    mask = volume.suv > 1
    path = tmp_path / "seg.dcm"
    with pytest.raises(ValueError, match="'spleen' is empty"):
        write_seg({"liver": mask, "spleen": mask & False}, volume, path)
    with pytest.raises(ValueError, match=r"'liver' has shape \(9, 8, 6\), the volume \(9, 8, 7\)"):
        write_seg({"liver": mask[..., 1:]}, volume, path)
    with pytest.raises(ValueError, match="values up to 3, labels names 2"):
        write_seg(mask * 3, volume, path, labels=["liver", "spleen"])
    with pytest.raises(ValueError, match="differ"):
        write_seg(mask * 2, volume, path, labels=["liver", "liver"])
    with pytest.raises(ValueError, match="no masks"):
        write_seg({}, volume, path)
    with pytest.raises(ValueError, match="not read from DICOM"):
        write_seg(mask, PetVolume(volume.voxels, volume.affine), path, labels="liver")


@pytest.mark.parametrize(
    ("keyword", "tag"),
    [
        ("FrameOfReferenceUID", "0020,0052"),
        ("StudyInstanceUID", "0020,000D"),
        ("SOPClassUID", "0008,0016"),
        ("SOPInstanceUID", "0008,0018"),
    ],
)
def test_a_uid_that_is_missing_is_named(tmp_path, axial_series, keyword, tag):
    edit(axial_series, lambda dataset: delattr(dataset, keyword))
    volume = read_pet(axial_series)
    with pytest.raises(ValueError, match=rf"{keyword} \({tag}\) is missing in .*slice_0000\.dcm"):
        write_seg({"liver": volume.suv > 1}, volume, tmp_path / "seg.dcm")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientSex", "U"),
        ("PatientSex", "m"),
        ("PatientSex", "Male"),
        ("PatientBirthDate", "1950"),
        ("PatientBirthDate", "19500000"),
        ("StudyDate", "20260000"),
        ("StudyTime", "12:30:00"),
    ],
)
def test_a_field_that_dicom_does_not_allow_is_left_out_and_said(tmp_path, axial_series, caplog, keyword, value):
    edit(axial_series, lambda dataset: setattr(dataset, keyword, value))
    volume = read_pet(axial_series)
    file = pydicom.dcmread(write_seg({"liver": volume.suv > 1}, volume, tmp_path / "seg.dcm"))
    assert not file[keyword].value
    assert file.PatientName == "Phantom^Pet"
    said = [record.getMessage() for record in caplog.records if keyword in record.getMessage()]
    assert len(said) == 1
    assert repr(value) in said[0]


@pytest.mark.parametrize(
    ("label", "category", "kind", "side"),
    [
        ("liver", "Anatomical Structure", "Liver", None),
        ("Left Kidney", "Anatomical Structure", "Kidney", "Left"),
        ("kidney_left", "Anatomical Structure", "Kidney", "Left"),
        ("kidneys", "Anatomical Structure", "Kidney", None),
        ("lung_upper_lobe_right", "Anatomical Structure", "Upper lobe of lung", "Right"),
        ("urinary_bladder", "Anatomical Structure", "Bladder", None),
        ("lesion", "Morphologically Abnormal Structure", "Lesion", None),
        ("Lesion 12", "Morphologically Abnormal Structure", "Lesion", None),
        ("left thigh tumour", "Morphologically Abnormal Structure", "Neoplasm", "Left"),
        ("liver metastases", "Morphologically Abnormal Structure", "Neoplasm, Secondary", None),
        ("lymph node", "Anatomical Structure", "Lymph node", None),
        ("something else", "Tissue", "Tissue", None),
        ("", "Tissue", "Tissue", None),
    ],
)
def test_codes_of_labels(label, category, kind, side):
    found = code_of_label(label)
    assert (found.category.meaning, found.type.meaning) == (category, kind)
    assert (found.side and found.side.meaning) == side


def test_every_code_is_one_that_dicom_lists():
    listed = {value: meanings for entry in concepts["SCT"].values() for value, meanings in entry.items()}
    for value, meaning in (*_LESIONS.values(), *_ANATOMY.values()):
        assert value in listed, meaning
    for code in (*_CATEGORY.values(), *_SIDES.values()):
        assert code.value in listed
    assert codes.SCT.Liver.value == _ANATOMY["liver"][0]


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 126", "Διονυσιος"),
        (None, "Plain^Name"),
    ],
)
@pytest.mark.parametrize("label", ["liver", "Łagodna zmiana"])
def test_the_patient_keeps_the_name_in_any_character_set(tmp_path, axial_series, suv, charset, name, label):
    def change(data):
        if charset is None:
            data.pop("SpecificCharacterSet", None)
        else:
            data.SpecificCharacterSet = charset
        data.PatientName = name

    edit(axial_series, change)
    path = write_seg({label: suv > 10}, read_pet(axial_series), tmp_path / "seg.dcm")
    file = pydicom.dcmread(path)
    assert str(file.PatientName) == name
    assert file.SegmentSequence[0].SegmentLabel == label


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("liver\\dome", "liver/dome"),
        ("line\nbreak\x00\x1b", "line break"),
        (" lead", "lead"),
        ("x" * 70, "x" * 64),
        (" ", "segment 1"),
        ("病变", "病变"),
    ],
)
def test_a_label_is_one_text_of_its_segment(tmp_path, axial_series, label, written):
    volume = read_pet(axial_series)
    path = write_seg({label: volume.suv > 1}, volume, tmp_path / "seg.dcm")
    (segment,) = pydicom.dcmread(path).SegmentSequence
    assert (segment.SegmentLabel, segment.TrackingID) == (written, written)
    assert list(read_seg(path, volume)) == [written]


@pytest.mark.parametrize(
    ("label", "lesion"),
    [
        ("prostate cancer", True),
        ("GTVp", True),
        ("Primary Tumour", True),
        ("lesion_3", True),
        ("B-cell lymphoma", True),
        ("liver metastases", True),
        ("prostate", False),
        ("liver", False),
        ("lymph node station", False),
    ],
)
def test_what_is_a_lesion_is_one_rule(label, lesion):
    assert is_lesion(label) == lesion
    assert (code_of_label(label).category == _CATEGORY["lesion"]) == lesion
