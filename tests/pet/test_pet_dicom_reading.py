"""DICOM folders: which series is read, what is refused and by which name."""

import shutil

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import generate_uid
from series_editing import AXIAL, assign, edit, remove

from seganypet.pet import (
    PetReadError,
    SyntheticScan,
    find_pet_series,
    find_series,
    read_pet,
    write_pet_dicom_series,
)
from seganypet.pet.series_listing import files_under


def test_series_reads_back(axial_series, suv):
    volume = read_pet(axial_series)
    np.testing.assert_allclose(volume.suv, suv, atol=2e-4)
    assert volume.units == "SUVbw"
    assert volume.voxels.dtype == np.float32
    assert volume.source.series_uid == pydicom.dcmread(axial_series / "slice_0000.dcm").SeriesInstanceUID
    assert volume.suv_provenance.tags["PatientWeight (0010,1030)"] == "75"


def test_one_file_stands_for_its_series(axial_series, suv):
    np.testing.assert_array_equal(read_pet(axial_series / "slice_0003.dcm").voxels, read_pet(axial_series).voxels)
    with pytest.raises(PetReadError, match="belongs to series"):
        read_pet(axial_series / "slice_0003.dcm", series_uid="1.2.3")


@pytest.mark.filterwarnings("ignore:The SOP Class 'Media Storage Directory Storage'")
def test_strays_and_nested_folders(axial_series, suv, caplog):
    caplog.set_level("INFO")
    nested = axial_series / "deeper" / "down"
    nested.mkdir(parents=True)
    (axial_series / "slice_0002.dcm").rename(nested / "IM2")
    (axial_series / "notes.txt").write_text("left kidney?")
    (axial_series / "Thumbs.db").write_bytes(b"\0" * 400)
    (axial_series / ".DS_Store").write_bytes(b"x")
    directory = pydicom.dcmread(axial_series / "slice_0000.dcm", stop_before_pixels=True)
    directory.SOPClassUID = directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.save_as(axial_series / "DICOMDIR")
    np.testing.assert_allclose(read_pet(axial_series).suv, suv, atol=2e-4)
    assert "DICOMDIR" in caplog.text
    assert "notes.txt" in caplog.text


def test_links_to_folders_are_followed_and_none_is_walked_twice(axial_series, tmp_path, suv):
    study = tmp_path / "study"
    study.mkdir()
    (study / "a link").symlink_to(axial_series)
    (study / "another").symlink_to(axial_series)
    (axial_series / "loop").symlink_to(study)
    assert [file.parent for file in files_under(study)] == [study / "a link"] * 7
    np.testing.assert_allclose(read_pet(study).suv, suv, atol=2e-4)
    assert find_pet_series(study)[0].folder == study / "a link"


def test_dicom_without_preamble(axial_series, suv):
    for path in axial_series.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.is_implicit_VR = True
        dataset.preamble = None
        dataset.save_as(path)
    np.testing.assert_allclose(read_pet(axial_series).suv, suv, atol=2e-4)


def test_dicom_whose_preamble_alone_is_missing(axial_series, suv):
    for path in axial_series.iterdir():
        path.write_bytes(path.read_bytes()[132:])
    np.testing.assert_allclose(read_pet(axial_series).suv, suv, atol=2e-4)


def test_two_series_are_listed_and_one_is_chosen(axial_series, suv):
    write_pet_dicom_series(suv / 2, AXIAL, axial_series / "late", scan=SyntheticScan(description="PET late"))
    series = find_pet_series(axial_series)
    assert [one.description for one in series] == ["PET AC phantom", "PET late"]
    assert [len(one.files) for one in series] == [7, 7]
    assert series[1].folder == axial_series / "late"
    with pytest.raises(PetReadError, match="series_uid") as caught:
        read_pet(axial_series)
    for one in series:
        assert f"{one.uid}  '{one.description}', PT, 7 slices" in str(caught.value)
    late = read_pet(axial_series, series_uid=series[1].uid)
    np.testing.assert_allclose(late.suv, suv / 2, atol=2e-4)
    with pytest.raises(PetReadError, match=r"no series 1\.2\.3.*there are"):
        read_pet(axial_series, series_uid="1.2.3")


def test_other_series_in_the_folder_are_left_aside(axial_series, suv):
    for name, change in {
        "ct": assign("Modality", "CT"),
        "nac": assign("CorrectedImage", ["DECY", "SCAT"]),
    }.items():
        write_pet_dicom_series(suv, AXIAL, axial_series / name, scan=SyntheticScan(description=name))
        edit(axial_series / name, change)
    np.testing.assert_allclose(read_pet(axial_series).suv, suv, atol=2e-4)
    assert len(find_series(axial_series)) == 3
    assert [one.description for one in find_pet_series(axial_series)] == ["PET AC phantom"]


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("Modality", "CT", r"Modality \(0008,0060\) is CT, not PT"),
        ("CorrectedImage", ["DECY", "SCAT"], r"CorrectedImage \(0028,0051\) is DECY.SCAT, without ATTN"),
        ("SeriesType", ["DYNAMIC", "IMAGE"], r"SeriesType \(0054,1000\) is DYNAMIC.IMAGE"),
        ("SeriesType", ["GATED", "IMAGE"], r"SeriesType \(0054,1000\) is GATED.IMAGE"),
        ("SeriesType", ["STATIC", "REPROJECTION"], r"SeriesType \(0054,1000\)"),
        ("ImageType", ["DERIVED", "SECONDARY", "MIP"], r"ImageType \(0008,0008\) is DERIVED.SECONDARY.MIP"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7", r"SOPClassUID \(0008,0016\) is Secondary Capture Image Storage"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.130", r"Enhanced PET Image Storage: multi-frame"),
        ("NumberOfFrames", "12", r"NumberOfFrames \(0028,0008\) is 12"),
    ],
)
def test_what_is_no_static_corrected_pet_is_refused_by_name(axial_series, keyword, value, message):
    edit(axial_series, assign(keyword, value))
    uid = find_series(axial_series)[0].uid
    for path, options in (
        (axial_series, {}),
        (axial_series, {"series_uid": uid}),
        (axial_series / "slice_0000.dcm", {}),
    ):
        with pytest.raises(PetReadError, match=message):
            read_pet(path, **options)
    assert find_pet_series(axial_series) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            assign("FrameOfReferenceUID", "1.2.3"),
            r"FrameOfReferenceUID \(0020,0052\) .* 1\.2\.3 in slice_0004",
        ),
        (
            assign("Units", "CNTS"),
            r"mixed series: Units \(0054,1001\) is BQML in .* and CNTS in slice_0004",
        ),
        (assign("PatientID", "other"), r"mixed series: PatientID \(0010,0020\)"),
        (assign("PixelSpacing", [3, 4.1]), r"mixed series: PixelSpacing \(0028,0030\) .* in slice_0004"),
        (assign("ImageOrientationPatient", [1, 0, 0, 0, 0, 1]), r"mixed series: ImageOrientationPatient .*slice_0004"),
        (remove("ImagePositionPatient"), r"ImagePositionPatient \(0020,0032\) is missing in slice_0004"),
        (assign("ImagePositionPatient", [0, 0]), r"ImagePositionPatient \(0020,0032\) is .* in slice_0004"),
        (remove("PixelData"), r"slice_0004\.dcm is truncated: 0 of 144 bytes of PixelData \(7FE0,0010\)"),
        (assign("Rows", 9), r"Rows \(0028,0010\) is 8 in slice_0000.dcm and 9 in slice_0004"),
    ],
)
def test_slices_that_do_not_belong_together_are_named(axial_series, change, message):
    edit(axial_series, change, only=4)
    with pytest.raises(PetReadError, match=message):
        read_pet(axial_series)


def test_missing_and_duplicate_slices(axial_series):
    content = (axial_series / "slice_0003.dcm").read_bytes()
    (axial_series / "slice_0003.dcm").unlink()
    with pytest.raises(PetReadError, match=r"missing slices: 1 between slice_0002\.dcm .* and slice_0004\.dcm"):
        read_pet(axial_series)
    for name in ("slice_0003.dcm", "copy.dcm"):
        (axial_series / name).write_bytes(content)
    whole = read_pet(axial_series)  # one instance, exported twice
    assert len(whole.source.files) == whole.shape[2]
    edit(axial_series, only=0, change=lambda data: setattr(data, "RescaleSlope", "2"))
    with pytest.raises(PetReadError, match=r"copy\.dcm and .*slice_0003\.dcm have one SOPInstanceUID .* and differ"):
        read_pet(axial_series)
    edit(axial_series, only=0, change=lambda data: setattr(data, "SOPInstanceUID", data.SOPInstanceUID + ".1"))
    with pytest.raises(PetReadError, match=r"1 duplicate slice positions, the first: copy\.dcm .* and slice_0003\.dcm"):
        read_pet(axial_series)


@pytest.mark.parametrize("keep", [0, 200, 700, -20])
def test_truncated_files_are_named(axial_series, keep):
    path = axial_series / "slice_0005.dcm"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(PetReadError, match=r"slice_0005\.dcm"):
        read_pet(axial_series)


def test_a_broken_file_elsewhere_does_not_hide_a_series(axial_series, suv, caplog):
    (axial_series / "other").mkdir()
    (axial_series / "other" / "broken.dcm").write_bytes((axial_series / "slice_0000.dcm").read_bytes()[:200])
    np.testing.assert_allclose(read_pet(axial_series).suv, suv, atol=2e-4)
    assert len(find_pet_series(axial_series)) == 1
    assert "broken.dcm" in caplog.text
    (axial_series / "other" / "broken.dcm").rename(axial_series / "broken.dcm")
    for path in (axial_series, axial_series / "slice_0000.dcm"):
        with pytest.raises(PetReadError, match=r"broken\.dcm"):
            read_pet(path)


def test_an_end_that_may_be_missing_is_a_warning(axial_series, caplog):
    (axial_series / "slice_0006.dcm").unlink()
    volume = read_pet(axial_series)
    assert volume.shape[2] == 6
    assert "is an end missing?" in volume.suv_provenance.notes[0]  # which the reader is shown
    assert "NumberOfSlices (0054,0081) is 7, 6 are here" in caplog.text


def test_folder_without_pet(tmp_path):
    with pytest.raises(PetReadError, match="no DICOM images"):
        read_pet(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(PetReadError, match=r"notes\.txt is neither a DICOM image nor"):
        read_pet(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError):
        find_pet_series(tmp_path / "nowhere")


def test_options_for_the_other_kind_of_file(axial_series, tmp_path, suv):
    with pytest.raises(ValueError, match="units is for files without DICOM tags"):
        read_pet(axial_series, units="BQML")
    image = sitk.GetImageFromArray(suv.transpose(2, 1, 0))
    image.SetSpacing((4, 3, 2.5))
    image.SetOrigin((1, 2, 3))
    for name in ("pet.nrrd", "pet.mha"):
        sitk.WriteImage(image, str(tmp_path / name))
        volume = read_pet(tmp_path / name)
        np.testing.assert_array_equal(volume.suv, suv)
        np.testing.assert_allclose(volume.affine, [[-4, 0, 0, -1], [0, -3, 0, -2], [0, 0, 2.5, 3], [0, 0, 0, 1]])
        with pytest.raises(ValueError, match="series_uid is for DICOM"):
            read_pet(tmp_path / name, series_uid="1.2")


def test_a_folder_seen_before_is_not_parsed_again_and_changes_are_noticed(axial_series, monkeypatch):
    first = find_pet_series(axial_series)
    monkeypatch.setattr("pydicom.dcmread", None)
    assert find_pet_series(axial_series) == first
    monkeypatch.undo()
    shutil.copy(axial_series / "slice_0000.dcm", axial_series / "kept")
    edit(axial_series, assign("SeriesInstanceUID", generate_uid()))
    assert len(find_pet_series(axial_series)) == 2


def test_an_archive_is_named(axial_series, tmp_path):
    (tmp_path / "zipped").mkdir()
    archive = shutil.make_archive(str(tmp_path / "zipped" / "study"), "zip", axial_series)
    with pytest.raises(PetReadError, match=r"but study\.zip: an archive, unpack it first"):
        read_pet(tmp_path / "zipped")
    with pytest.raises(PetReadError, match=r"study\.zip is an archive: unpack it first"):
        read_pet(archive)
