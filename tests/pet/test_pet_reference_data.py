"""Public reference sets read their right values. They lie beside the project and are not part of it."""

import csv
import json
import time

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from seganypet.pet import measure_uptake, read_pet, suv_factors

DRO = ["0_0", "1_0", "2_0", "2_1", "2_2", "2_4", "3_0", "3_1", "4_0", "4_1"]
HEADERS = [
    "SIEMENS",
    "GE_MEDICAL_AND_BQML",
    "PHILIPS_CNTS_AND_BQML_SUV",
    "PHILIPS_CNTS_AND_SUV",
    "BQML_AC_DT_lessThan_S_DT_SIEMENS",
    "RADIOPHARM_DATETIME_UNDEFINED",
]


@pytest.fixture(scope="module")
def data(shared):
    return shared / "data"


@pytest.mark.parametrize("name", DRO)
def test_digital_reference_objects(data, name):
    folder = data / "suv_dro" / f"DRO_{name}"
    (row,) = (row for row in csv.DictReader((data / "suv_dro" / "expected.csv").open()) if row["id"] == folder.name)
    volume = read_pet(folder)
    mask = nib.load(next((folder / "mask").glob("*.nii.gz")))
    np.testing.assert_allclose(volume.affine, mask.affine, atol=1e-4)
    inside = volume.suv[np.asanyarray(mask.dataobj) > 0]
    for statistic in (np.min, np.median, np.max):
        assert statistic(inside) == pytest.approx(
            float(row[f"suv_{statistic.__name__}".replace("amin", "min")]), abs=0.005
        )
    files = sorted((folder / "PT").iterdir())
    factors = suv_factors([pydicom.dcmread(file, stop_before_pixels=True) for file in files])
    assert volume.suv_provenance.factor_range == pytest.approx((min(factors), max(factors)))


@pytest.mark.parametrize("name", HEADERS)
def test_vendors_headers(data, name):
    instances = json.loads((data / "suv_headers" / f"{name}-instances.json").read_text())
    expected = json.loads((data / "suv_headers" / "expected.json").read_text())[name]
    for headers in (instances, [as_dataset(instance) for instance in instances]):
        np.testing.assert_allclose(suv_factors(headers), expected, rtol=1e-6, atol=0)


def as_dataset(instance: dict) -> pydicom.Dataset:
    """The extract as the scanner's header holds it: nested, and with the vendor's private block."""
    dataset, injection = pydicom.Dataset(), pydicom.Dataset()
    for keyword, value in instance.items():
        if keyword == "PhilipsPETPrivateGroup":
            block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
            for element, name in ((0x00, "SUVScaleFactor"), (0x09, "ActivityConcentrationScaleFactor")):
                if name in value:
                    block.add_new(element, "DS", value[name])
        else:
            nested = keyword.startswith("Radio")
            setattr(injection if nested else dataset, keyword, value.strip() if isinstance(value, str) else value)
    dataset.RadiopharmaceuticalInformationSequence = pydicom.Sequence([injection])
    return dataset


def test_gml_is_not_decay_corrected(data):
    volume = read_pet(data / "gml_002" / "image")
    stored = sitk.ImageSeriesReader()
    stored.SetFileNames(stored.GetGDCMSeriesFileNames(str(data / "gml_002" / "image")))
    np.testing.assert_allclose(volume.suv, sitk.GetArrayFromImage(stored.Execute()).T, rtol=1e-6)
    assert volume.shape == (30, 27, 48)
    assert volume.suv_provenance.rule == "GML: stored as SUVbw"


@pytest.fixture(scope="module")
def whole_body(data):
    return read_pet(data / "sts_001" / "dicom")


def test_whole_body_equals_its_nifti(data, whole_body):
    image = nib.load(data / "sts_001" / "suv.nii.gz")
    np.testing.assert_allclose(whole_body.affine, image.affine, atol=1e-4)
    # the NIfTI keeps 16 bits of a maximum of 66.5
    np.testing.assert_allclose(whole_body.suv, image.get_fdata(), atol=66.53 / 32767)
    assert whole_body.suv.max() == pytest.approx(66.5, abs=0.05)


def test_whole_body_equals_an_independent_conversion(data, whole_body):
    crop = nib.load(data / "sts_crops" / "STS_001_suv.nii.gz")
    start = np.rint(np.linalg.inv(whole_body.affine) @ crop.affine[:, 3])[:3].astype(int)
    values = crop.get_fdata()
    part = whole_body.suv[tuple(slice(first, first + count) for first, count in zip(start, values.shape, strict=True))]
    np.testing.assert_allclose(part, values, atol=1e-3)
    assert part.sum() / values.sum() == pytest.approx(1.0, abs=1e-4)  # 16 bits there, rounded down


def test_whole_body_geometry_equals_itks(data, whole_body):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(data / "sts_001" / "dicom")))
    image = reader.Execute()
    factor = whole_body.suv_provenance.factor_range[0]
    np.testing.assert_allclose(whole_body.suv, sitk.GetArrayFromImage(image).T * factor, rtol=1e-6)
    np.testing.assert_allclose(whole_body.affine[:3, 3] * (-1, -1, 1), image.GetOrigin(), atol=1e-6)
    assert whole_body.spacing_mm == pytest.approx(image.GetSpacing(), abs=1e-6)


def test_tumour_measures(data, whole_body):
    mask = np.asanyarray(nib.load(data / "sts_001" / "tumour_gtv_mass.nii.gz").dataobj) > 0
    found = measure_uptake(whole_body, mask)
    assert found.voxels == 5095
    assert found.volume_ml == pytest.approx(366.1, abs=0.05)
    assert found.suv_max == pytest.approx(7.91, abs=0.005)
    assert found.suv_mean < found.suv_peak < found.suv_max


def test_whole_body_reads_quickly(data):
    start = time.process_time()
    read_pet(data / "sts_001" / "dicom")
    assert time.process_time() - start < 5
