"""NIfTI in and out: units, sidecars, geometry, broken files."""

import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from seganypet.pet import PetReadError, PetVolume, SuvUnavailableError, read_pet, write_mask_nifti

AFFINE = np.array([[-4.0, 0.1, 0, 10], [0.1, -3.0, 0.2, 20], [0, 0.2, 2.0, 30], [0, 0, 0, 1]])


@pytest.fixture
def values():
    return np.random.default_rng(1).random((6, 5, 4)).astype(np.float32) * 12


def write(folder, values, name="pet.nii.gz", **sidecar):
    path = folder / name
    nib.save(nib.Nifti1Image(values, AFFINE), path)
    if sidecar:
        (folder / f"{name.split('.')[0]}.json").write_text(json.dumps(sidecar))
    return path


@pytest.mark.parametrize("name", ["pet.nii", "pet.nii.gz"])
def test_plain_nifti_is_suv(tmp_path, values, name):
    volume = read_pet(write(tmp_path, values, name))
    np.testing.assert_array_equal(volume.suv, values)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-6)
    assert volume.units == "SUVbw"
    assert volume.suv_provenance.rule == "a file without DICOM tags is taken as SUVbw"
    assert volume.source.files == (tmp_path / name,)


def test_becquerels_need_units(tmp_path, values):
    path = write(tmp_path, values * 5000)
    volume = read_pet(path)
    assert volume.units == "unknown"
    np.testing.assert_array_equal(volume.voxels, values * 5000)
    with pytest.raises(SuvUnavailableError, match=r"range of Bq/mL.*units="):
        _ = volume.suv
    volume = read_pet(path, units="bqml")
    assert volume.units == "BQML"
    with pytest.raises(SuvUnavailableError, match=r"BQML.*sidecar"):
        _ = volume.suv
    assert read_pet(path, units="SUVbw").suv.max() == (values * 5000).max()
    with pytest.raises(ValueError, match="'gray'"):
        read_pet(path, units="gray")


SIDECAR = {
    "Units": "Bq/mL",
    "InjectedRadioactivity": 300,
    "InjectedRadioactivityUnits": "MBq",
    "BodyWeight": 75,
    "TracerRadionuclide": "F18",
    "InjectionStart": -3600,
    "ImageDecayCorrectionTime": 2986.2,
}


def test_sidecar_gives_suv_by_hand(tmp_path, values):
    # injected one half-life (6586.2 s) before the reference: 150 MBq left, 75000 g / 150e6 Bq = 1/2000
    volume = read_pet(write(tmp_path, values * 5000, **SIDECAR))
    np.testing.assert_allclose(volume.suv, values * 5000 / 2000, rtol=1e-6)
    assert volume.suv_provenance.factor_range == (pytest.approx(1 / 2000), pytest.approx(1 / 2000))
    assert volume.suv_provenance.tags["BodyWeight"] == "75"


@pytest.mark.parametrize(
    ("change", "factor"),
    [
        ({"Units": "kBq/mL"}, 0.5),
        ({"InjectedRadioactivityUnits": "kBq"}, 0.5),
        ({"TracerRadionuclide": "18F"}, 1 / 2000),
        ({"TracerRadionuclide": "Fluorine-18", "RadionuclideHalfLife": None}, 1 / 2000),
        ({"TracerRadionuclide": "unheard-of", "RadionuclideHalfLife": 3293.1}, 1 / 1000),
        ({"BodyWeight": None, "PatientWeight": 150}, 1 / 1000),
        ({"BodyWeight": "n/a", "PatientWeight": 150}, 1 / 1000),
    ],
)
def test_sidecar_units_and_synonyms(tmp_path, values, change, factor):
    volume = read_pet(write(tmp_path, values / factor, **(SIDECAR | change)))
    np.testing.assert_allclose(volume.suv, values, rtol=1e-6)


@pytest.mark.parametrize("said", ["Bq/mL", "kBq/mL"])
@pytest.mark.parametrize("units", [None, "Bq/mL", "kBq/mL"])
def test_units_are_converted_once_whoever_says_them(tmp_path, values, said, units):
    stored = values * 2 if said == "kBq/mL" else values * 2000
    volume = read_pet(write(tmp_path, stored, **(SIDECAR | {"Units": said})), units=units)
    if units in (None, said):
        np.testing.assert_allclose(volume.suv, values, rtol=1e-6)
        return
    # a caller who contradicts a right sidecar is a thousand off, which is seen
    assert volume.units == "BQML"
    np.testing.assert_allclose(volume.voxels, stored * (1000 if units == "kBq/mL" else 1), rtol=1e-6)
    with pytest.raises(SuvUnavailableError, match=r"would be .*values were taken as .* as said; by the sidecar"):
        _ = volume.suv


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".NII.GZ"])
def test_a_sidecar_beside_any_kind_of_file(tmp_path, values, ending):
    """Stored in kBq/mL, which without the sidecar would pass for SUV."""
    small = tmp_path / f"pet{ending.lower()}"
    sitk.WriteImage(sitk.GetImageFromArray((values * 2).transpose(2, 1, 0)), str(small))
    path = small.rename(tmp_path / f"pet{ending}") if ending == ".NII.GZ" else small
    (tmp_path / "pet.json").write_text(json.dumps(SIDECAR | {"Units": "kBq/mL"}))
    np.testing.assert_allclose(read_pet(path).suv, values, rtol=1e-6)


def test_a_sidecar_with_a_byte_order_mark(tmp_path, values):
    path = write(tmp_path, values * 2000)
    (tmp_path / "pet.json").write_bytes(json.dumps(SIDECAR).encode("utf-8-sig"))
    np.testing.assert_allclose(read_pet(path).suv, values, rtol=1e-6)


def test_negative_values_are_no_suv(tmp_path, values):
    volume = read_pet(write(tmp_path, -values))
    assert volume.units == "unknown"
    assert "no voxel is above zero" in volume.suv_provenance.reason


def test_an_unknown_code_of_the_unit_counts_as_none(tmp_path, values):
    path = write(tmp_path, values, "pet.nii")
    content = bytearray(path.read_bytes())
    content[123] = 7  # xyzt_units
    path.write_bytes(content)
    assert read_pet(path).spacing_mm == pytest.approx(np.linalg.norm(AFFINE[:3, :3], axis=0))


def test_a_caller_goes_before_a_wrong_sidecar(tmp_path, values):
    volume = read_pet(write(tmp_path, values * 2, **SIDECAR), units="kBq/mL")
    np.testing.assert_allclose(volume.suv, values, rtol=1e-6)
    assert volume.suv_provenance.factor_range == (pytest.approx(0.5), pytest.approx(0.5))
    assert "taken as 1000 Bq/mL as said; by the sidecar they are 1 Bq/mL" in volume.suv_provenance.notes[-1]


def test_a_dose_in_becquerels_without_its_unit_is_not_believed(tmp_path, values):
    fields = SIDECAR | {"InjectedRadioactivity": 300e6}
    del fields["InjectedRadioactivityUnits"]
    volume = read_pet(write(tmp_path, values * 2000, **fields))
    assert volume.units == "BQML"
    np.testing.assert_array_equal(volume.voxels, values * 2000)
    with pytest.raises(SuvUnavailableError, match=r"mean SUV .*InjectedRadioactivity taken as MBq"):
        _ = volume.suv


def test_kilobecquerels_without_a_dose_become_becquerels(tmp_path, values):
    volume = read_pet(write(tmp_path, values, **(SIDECAR | {"Units": "kBq/mL", "BodyWeight": None})))
    assert volume.units == "BQML"
    np.testing.assert_allclose(volume.voxels, values * 1000, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"BodyWeight": None}, "BodyWeight or PatientWeight is missing"),
        ({"InjectedRadioactivity": 0}, "InjectedRadioactivity of the sidecar is 0"),
        ({"InjectionStart": 5000}, "before InjectionStart"),
        ({"TracerRadionuclide": "Xx99"}, "RadionuclideHalfLife"),
        ({"ImageDecayCorrected": False}, "ImageDecayCorrected is false"),
        ({"Units": "cps"}, "'cps'"),
        ({"InjectedRadioactivityUnits": "mCi"}, "'mCi'"),
        ({"BodyWeight": "75"}, "BodyWeight of the sidecar is '75', no number"),
        ({"TracerRadionuclide": "Unobtainium-18"}, "'Unobtainium-18' of the sidecar is none of F18"),
        ({"TracerRadionuclide": None}, "RadionuclideHalfLife or TracerRadionuclide is missing"),
        (
            {"ImageDecayCorrectionTime": 2986200},
            "2986200 s of the sidecar lies 454 half-lives after",
        ),
        ({"ImageDecayCorrected": "false"}, "ImageDecayCorrected is false"),
    ],
)
def test_sidecar_that_does_not_suffice_names_the_field(tmp_path, values, change, message):
    volume = read_pet(write(tmp_path, values, **(SIDECAR | change)))
    np.testing.assert_array_equal(volume.voxels, values)
    with pytest.raises(SuvUnavailableError, match=message):
        _ = volume.suv


def test_sidecar_that_says_suv_and_one_that_is_none(tmp_path, values):
    hot = np.tile(values, (4, 4, 4))
    hot[0, 0, 0] = 5000.0  # above any SUV, which the sidecar stands for
    assert read_pet(write(tmp_path, hot, Units="g/mL")).suv.max() == 5000.0
    impossible = read_pet(write(tmp_path, values * 5000, Units="g/mL"))
    assert impossible.units == "unknown"
    assert "mean SUV" in impossible.suv_provenance.reason
    assert read_pet(tmp_path / "pet.nii.gz", units="SUVbw").suv.max() == (values * 5000).max()
    assert read_pet(write(tmp_path, values, Modality="PT")).suv_known
    (tmp_path / "pet.json").write_text("{")
    with pytest.raises(ValueError, match=r"pet\.json is not valid JSON"):
        read_pet(tmp_path / "pet.nii.gz")


def test_units_of_length_in_the_header(tmp_path, values):
    image = nib.Nifti1Image(values, np.diag([0.004, 0.004, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "metres.nii")
    assert read_pet(tmp_path / "metres.nii").spacing_mm == pytest.approx((4, 4, 3))
    image.header.set_xyzt_units("mm")
    nib.save(image, tmp_path / "claimed.nii")
    with pytest.raises(PetReadError, match=r"voxels of 0\.004 × 0\.004 × 0\.003 mm, no PET's: is its unit of length"):
        read_pet(tmp_path / "claimed.nii")


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 4, 2)])
def test_not_three_dimensional(tmp_path, shape):
    with pytest.raises(PetReadError, match=r"pet\.nii has shape"):
        read_pet(write(tmp_path, np.zeros(shape, np.float32), "pet.nii"))


def test_single_frame_in_four_dimensions_is_read(tmp_path, values):
    assert read_pet(write(tmp_path, values[..., None])).shape == values.shape


@pytest.mark.parametrize("name", ["pet.nii", "pet.nii.gz"])
def test_truncated_and_foreign_files_are_named(tmp_path, values, name):
    path = write(tmp_path, values, name)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(PetReadError, match=name):
        read_pet(path)
    path.write_bytes(b"no image at all")
    with pytest.raises(PetReadError, match=name):
        read_pet(path)


def test_missing_file_and_nan(tmp_path, values):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_pet(tmp_path / "nowhere.nii")
    values[2, 3, 1] = np.nan
    with pytest.raises(
        ValueError, match=r"1 of 120 voxels are NaN or infinite, the first at \(i, j, k\) = \(2, 3, 1\)"
    ):
        read_pet(write(tmp_path, values))


@pytest.mark.parametrize("name", ["mask.nii", "out/mask.nii.gz"])
def test_mask_keeps_grid_and_bits(tmp_path, values, name):
    volume = PetVolume(values, AFFINE)
    path = write_mask_nifti(values > 6, volume, tmp_path / name)
    image = nib.load(path)
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), values > 6)
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-6)


def test_mask_that_does_not_fit(tmp_path, values):
    volume = PetVolume(values, AFFINE)
    with pytest.raises(ValueError, match=r"shape \(6, 5, 3\), the volume \(6, 5, 4\)"):
        write_mask_nifti(values[..., :3] > 1, volume, tmp_path / "mask.nii")
    with pytest.raises(ValueError, match="0 to 255"):
        write_mask_nifti(values, volume, tmp_path / "mask.nii")
    with pytest.raises(ValueError, match=r"mask\.png"):
        write_mask_nifti(values > 1, volume, tmp_path / "mask.png")


def both_coded(tmp_path, qform, sform):
    image = nib.Nifti1Image(np.ones((6, 5, 4), np.float32), np.eye(4))
    image.set_qform(qform, 1)
    image.set_sform(sform, 2)
    nib.save(image, tmp_path / "both.nii.gz")
    return tmp_path / "both.nii.gz"


def test_a_file_that_says_two_places_lies_where_the_viewers_show_it(tmp_path, caplog):
    qform = np.array([[-4.0, 0, 0, 90], [0, 4, 0, -80], [0, 0, 3, -700], [0, 0, 0, 1]])
    sform = qform.copy()
    sform[0, 3] += 30
    path = both_coded(tmp_path, qform, sform)
    volume = read_pet(path)
    viewer = sitk.ReadImage(str(path))
    in_viewer = np.array(viewer.TransformIndexToPhysicalPoint((3, 2, 1))) * (-1, -1, 1)
    np.testing.assert_allclose((volume.affine @ (3, 2, 1, 1))[:3], in_viewer, atol=1e-3)
    assert "two places that are 30.0 mm apart" in caplog.text
    mask = write_mask_nifti(np.ones(volume.shape, np.uint8), volume, tmp_path / "mask.nii.gz")
    assert sitk.ReadImage(str(mask)).GetOrigin() == pytest.approx(viewer.GetOrigin(), abs=1e-3)


def test_a_file_that_says_no_place_lies_where_the_viewers_guess_it(tmp_path, caplog):
    path = tmp_path / "none.nii"
    image = nib.Nifti1Image(np.ones((6, 5, 4), np.float32), None)
    image.header.set_zooms((4, 4, 3))
    nib.save(image, path)
    volume = read_pet(path)
    viewer = sitk.ReadImage(str(path))
    in_viewer = np.array(viewer.TransformIndexToPhysicalPoint((3, 2, 1))) * (-1, -1, 1)
    np.testing.assert_allclose((volume.affine @ (3, 2, 1, 1))[:3], in_viewer, atol=1e-3)
    assert "neither sform nor qform" in caplog.text


def test_rounding_between_two_forms_is_nothing_to_say(tmp_path, caplog):
    affine = np.array([[-4.07283, 0, 0, 90], [0, 4.07283, 0, -80], [0, 0, 3, -700], [0, 0, 0, 1]])
    volume = read_pet(both_coded(tmp_path, affine, affine + 1e-5 * np.eye(4)))
    np.testing.assert_allclose(volume.affine, affine, atol=1e-4)
    assert "two places" not in caplog.text


def test_kilobecquerels_are_said_and_can_be_named(tmp_path):
    path = tmp_path / "kbq.nii.gz"
    nib.save(nib.Nifti1Image(np.full((6, 5, 4), 5.5, np.float32), np.eye(4)), path)
    volume = read_pet(path)
    assert "it averages 5.5" in volume.suv_provenance.notes[0]
    assert "units='kBq/mL'" in volume.suv_provenance.notes[0]
    named = read_pet(path, units="kBq/mL")
    assert named.units == "BQML"
    assert named.voxels.max() == pytest.approx(5500)
    quiet = tmp_path / "suv.nii.gz"
    nib.save(nib.Nifti1Image(np.full((6, 5, 4), 1.1, np.float32), np.eye(4)), quiet)
    assert read_pet(quiet).suv_provenance.notes == ()


def test_a_cold_scan_in_becquerels_is_not_taken_for_suv(tmp_path):
    path = tmp_path / "cold.nii.gz"
    nib.save(nib.Nifti1Image(np.full((6, 5, 4), 112.5, np.float32), np.eye(4)), path)
    volume = read_pet(path)
    assert volume.units == "unknown"
    assert "would be 112" in volume.suv_provenance.reason


@pytest.mark.parametrize("name", ["UP.NII.GZ", "Up.Nii"])
def test_endings_in_capitals(tmp_path, name):
    nib.save(nib.Nifti1Image(np.ones((6, 5, 4), np.float32), np.eye(4)), tmp_path / name.lower())
    (tmp_path / name.lower()).rename(tmp_path / name)
    assert read_pet(tmp_path / name).shape == (6, 5, 4)
