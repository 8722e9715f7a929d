"""DICOM folders: which series is read, what is refused and by which name, compressed pixels."""

import shutil

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless, generate_uid
from series_editing import AXIAL, edit

from seganypet.pet import (
    PetReadError,
    SuvUnavailableError,
    SyntheticScan,
    find_pet_series,
    find_series,
    read_pet,
    write_pet_dicom_series,
)
from seganypet.pet.series_listing import files_under


def assign(keyword, value):
    return lambda dataset: setattr(dataset, keyword, value)


def remove(keyword):
    return lambda dataset: delattr(dataset, keyword)


def shift_injection(dataset):
    dataset.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = "20260116100000"


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


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (remove("PatientWeight"), r"^SUV unavailable: PatientWeight \(0010,1030\) is missing$"),
        (assign("PatientWeight", "0"), r"PatientWeight \(0010,1030\) is 0"),
        (remove("RescaleSlope"), r"RescaleSlope \(0028,1053\) is missing"),
        (assign("Units", "PROPCPS"), r"Units \(0054,1001\) is PROPCPS"),
        (shift_injection, r"StartDateTime \(0018,1078\) 20260116.* after the scan.* 20260115.*: the dates do not fit$"),
    ],
)
def test_without_suv_the_voxels_are_still_there(axial_series, suv, change, reason):
    edit(axial_series, change)
    volume = read_pet(axial_series)
    assert volume.units != "SUVbw"
    # in proportion within a slice
    k = 4
    np.testing.assert_allclose(
        volume.voxels[..., k] / volume.voxels[..., k].max(), suv[..., k] / suv[..., k].max(), atol=1e-4
    )
    with pytest.raises(SuvUnavailableError, match=reason):
        _ = volume.suv


def test_intercept_and_signed_pixels(axial_series, suv):
    def shift(dataset):
        stored = dataset.pixel_array.astype(np.int32) - 32768
        dataset.PixelData = stored.astype("<i2").tobytes()
        dataset.PixelRepresentation = 1
        dataset.RescaleIntercept = f"{32768 * float(dataset.RescaleSlope):.10g}"

    edit(axial_series, shift)
    np.testing.assert_allclose(read_pet(axial_series).suv, suv, atol=2e-4)


def compressed(dataset: pydicom.Dataset, codec: str, folder) -> None:
    """Replace the pixels by compressed ones, as GDCM or pydicom encodes them."""
    if codec == "RLE":
        dataset.compress(RLELossless)
        return
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor(codec)
    writer.SetFileName(str(folder / "compressed.dcm"))
    writer.Execute(sitk.GetImageFromArray(dataset.pixel_array[None]))
    encoded = pydicom.dcmread(folder / "compressed.dcm")
    assert encoded.file_meta.TransferSyntaxUID.is_compressed
    (frame,) = pydicom.encaps.generate_pixel_data(encoded.PixelData, 1)
    dataset.PixelData = encapsulate(list(frame))
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = encoded.file_meta.TransferSyntaxUID


@pytest.mark.parametrize(
    ("codec", "syntax"),
    [
        ("JPEG", "1.2.840.10008.1.2.4.70"),
        ("JPEG2000", "1.2.840.10008.1.2.4.90"),
        ("RLE", "1.2.840.10008.1.2.5"),
    ],
)
@pytest.mark.filterwarnings("ignore:End of file reached")
def test_compressed_transfer_syntaxes(tmp_path, codec, syntax):
    series = tmp_path / "series"
    write_pet_dicom_series(np.random.default_rng(3).gamma(1, 1, (70, 65, 3)), AXIAL, series)
    plain = read_pet(series)
    edit(series, lambda dataset: compressed(dataset, codec, tmp_path))
    assert pydicom.dcmread(series / "slice_0000.dcm").file_meta.TransferSyntaxUID == syntax
    np.testing.assert_allclose(read_pet(series).voxels, plain.voxels, rtol=1e-6)
    path = series / "slice_0002.dcm"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(PetReadError, match=r"slice_0002\.dcm"):
        read_pet(series)


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


@pytest.mark.parametrize("value", ["WHOLEBODY\\IMAGE", "WHOLE_BODY\\IMAGE", "static\\image", ""])
def test_series_types_in_other_writings(axial_series, suv, value):
    edit(axial_series, assign("SeriesType", value))
    np.testing.assert_allclose(read_pet(axial_series).suv, suv, atol=2e-4)
    assert len(find_pet_series(axial_series)) == 1


@pytest.mark.parametrize("value", ["ATTN, DECY", ["decy", "attn"], "DECY;ATTN"])
def test_corrections_in_other_writings(axial_series, suv, value):
    edit(axial_series, assign("CorrectedImage", value))
    volume = read_pet(axial_series)
    np.testing.assert_allclose(volume.suv, suv, atol=2e-4)
    assert volume.suv_provenance.notes == ()


@pytest.mark.parametrize("change", [assign("CorrectedImage", ""), lambda data: delattr(data, "CorrectedImage")])
def test_a_series_that_does_not_name_its_corrections_is_read_and_says_so(axial_series, suv, change):
    edit(axial_series, change)
    volume = read_pet(axial_series)
    np.testing.assert_allclose(volume.suv, suv, atol=2e-4)
    assert "CorrectedImage (0028,0051) is missing" in volume.suv_provenance.notes[0]
    assert len(find_pet_series(axial_series)) == 1


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientWeight", "75.00"),
        ("SeriesTime", "110000.00"),
        ("SeriesDate", "2026.01.15"),
        ("DecayCorrection", "start"),
        ("Units", "bqml"),
    ],
)
def test_one_value_in_two_writings_is_no_difference(axial_series, suv, keyword, value):
    edit(axial_series, assign(keyword, value), only=2)
    np.testing.assert_allclose(read_pet(axial_series).suv, suv, atol=2e-4)


def test_a_dose_in_two_writings_is_no_difference(axial_series, suv):
    def change(data):
        data.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = "3e8"

    edit(axial_series, change, only=2)
    np.testing.assert_allclose(read_pet(axial_series).suv, suv, atol=2e-4)


def test_a_factor_that_cannot_be_right_is_turned_back(axial_series, suv):
    stored = read_pet(axial_series).voxels / read_pet(axial_series).suv_provenance.factor_range[0]

    def philips(data):
        data.Units = "CNTS"
        data.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, "DS", "7.5")

    edit(axial_series, philips)
    volume = read_pet(axial_series)
    assert volume.units == "CNTS"
    assert "dose, weight or units cannot be right" in volume.suv_provenance.reason
    np.testing.assert_allclose(volume.voxels, stored, rtol=1e-4)


def test_an_archive_is_named(axial_series, tmp_path):
    (tmp_path / "zipped").mkdir()
    archive = shutil.make_archive(str(tmp_path / "zipped" / "study"), "zip", axial_series)
    with pytest.raises(PetReadError, match=r"but study\.zip: an archive, unpack it first"):
        read_pet(tmp_path / "zipped")
    with pytest.raises(PetReadError, match=r"study\.zip is an archive: unpack it first"):
        read_pet(archive)
