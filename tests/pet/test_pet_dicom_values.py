"""What the tags of a DICOM series make of its pixels: SUV or none, compressed pixels, one value in several writings."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless
from series_editing import AXIAL, assign, edit, remove

from seganypet.pet import (
    PetReadError,
    SuvUnavailableError,
    find_pet_series,
    read_pet,
    write_pet_dicom_series,
)


def shift_injection(dataset):
    dataset.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = "20260116100000"


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


@pytest.mark.parametrize("slope", ["0", "-0.5"])
def test_a_slope_that_loses_uptake_or_turns_it_around_is_refused(axial_series, slope):
    edit(axial_series, assign("RescaleSlope", slope), only=4)
    with pytest.raises(PetReadError, match=r"RescaleSlope \(0028,1053\) is -?0.* in slice_0004.dcm, .* above zero"):
        read_pet(axial_series)


def test_an_empty_slice_may_have_no_slope(axial_series, suv):
    def empty(dataset):
        dataset.PixelData, dataset.RescaleSlope = bytes(len(dataset.PixelData)), "0"

    edit(axial_series, empty, only=0)
    volume = read_pet(axial_series)
    assert not volume.suv[:, :, 0].any()
    np.testing.assert_allclose(volume.suv[:, :, 1:], suv[:, :, 1:], atol=2e-4)


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
