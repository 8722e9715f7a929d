"""The procedural phantom: reproducible, complete, of plausible uptake."""

import numpy as np
import pytest
from scipy import ndimage

from seganypet.data.phantoms import Scanner, make_phantom
from seganypet.data.phantoms.anatomy import LABELS, UPTAKE
from seganypet.pet import read_pet

COARSE = (6.0, 6.0, 6.0)
BOTH = set(LABELS.values()) - {"prostate", "testes", "uterus", "ureters"}


def test_same_seed_same_voxels_other_seed_other_voxels():
    first, again, other = (make_phantom(seed, voxel_size_mm=COARSE) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.suv, again.suv)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.lesions == again.lesions
    assert first.suv.shape != other.suv.shape or not np.array_equal(first.suv, other.suv)


def test_a_fixed_trait_leaves_the_others_as_drawn():
    free = make_phantom(11, voxel_size_mm=COARSE, lesion_count=0)
    fixed = make_phantom(11, voxel_size_mm=COARSE, lesion_count=0, sex=free.patient.sex, arms=free.patient.arms)
    assert fixed.patient == free.patient
    np.testing.assert_array_equal(fixed.suv, free.suv)


@pytest.mark.parametrize(("sex", "own", "foreign"), [("man", "prostate", "uterus"), ("woman", "uterus", "prostate")])
def test_every_organ_is_there_for_each_sex(sex, own, foreign, request):
    phantom = request.getfixturevalue(sex)
    names = set(phantom.label_names.values())
    assert not BOTH - names
    assert own in names
    assert foreign not in names
    assert phantom.suv.dtype == np.float32
    assert phantom.labels.dtype == np.int16
    assert phantom.suv.shape == phantom.labels.shape
    assert set(np.unique(phantom.labels)) - {0} == set(phantom.label_names)


@pytest.mark.parametrize(
    "name", ["brain", "heart", "liver", "spleen", "kidney_right", "kidney_left", "urinary_bladder", "aorta"]
)
def test_organs_are_one_piece(man, name):
    pieces, count = ndimage.label(man.mask(name))
    largest = np.bincount(pieces.ravel())[1:].max()
    assert largest >= 0.95 * man.mask(name).sum(), f"{name} lies in {count} pieces"


@pytest.mark.parametrize(
    ("name", "low_ml", "high_ml"),
    [
        ("brain", 1000, 2200),
        ("liver", 900, 2600),
        ("spleen", 50, 400),
        ("kidney_left", 60, 320),
        ("heart", 250, 1000),
        ("lung_upper_lobe_left", 400, 2000),
        ("aorta", 80, 350),
    ],
)
def test_organs_have_an_adult_s_volume(man, woman, name, low_ml, high_ml):
    for phantom in (man, woman):
        assert low_ml < phantom.mask(name).sum() * np.prod(phantom.spacing_mm) / 1000 < high_ml


def test_liver_is_right_spleen_left_brain_above_bladder(man, woman):
    for phantom in (man, woman):
        centre = {
            name: (phantom.affine @ [*np.argwhere(phantom.mask(name)).mean(0), 1])[:3]
            for name in ("liver", "spleen", "brain", "urinary_bladder", "kidney_right", "kidney_left")
        }
        assert centre["liver"][0] > centre["spleen"][0] + 80  # RAS+: x grows to the patient's right
        assert centre["kidney_right"][0] > centre["kidney_left"][0] + 60
        assert centre["brain"][2] > centre["liver"][2] > centre["urinary_bladder"][2]


@pytest.mark.parametrize(
    ("name", "tissue"),
    [
        ("liver", "liver"),
        ("spleen", "spleen"),
        ("aorta", "blood"),
        ("urinary_bladder", "urinary_bladder"),
        ("fat", "fat"),
        ("muscle", "muscle"),
        ("lung_upper_lobe_right", "lung"),
        ("prostate", "prostate"),
    ],
)
def test_uptake_before_blur_lies_in_its_tissue_s_range(man, name, tissue):
    mean = float(np.median(man.suv[man.mask(name)]))
    assert 0.7 * UPTAKE[tissue].low <= mean <= 1.3 * UPTAKE[tissue].high


def test_uptake_differs_between_patients_and_inside_an_organ(man, woman):
    mean = [float(p.suv[p.mask("liver")].mean()) for p in (man, woman)]
    assert abs(mean[0] - mean[1]) > 0.02
    liver = man.suv[man.mask("liver")]
    assert 0.02 < liver.std() / liver.mean() < 0.15  # no noise in this phantom: texture alone


def test_noise_has_the_level_that_was_asked_for():
    scanner = Scanner(fwhm_mm=5.0, noise=0.15, noise_exponent=1.0)
    with_noise = make_phantom(5, voxel_size_mm=(4, 4, 4), scanner=scanner, lesion_count=0)
    without = make_phantom(5, voxel_size_mm=(4, 4, 4), scanner=Scanner(fwhm_mm=5.0, noise=0.0), lesion_count=0)
    liver = ndimage.binary_erosion(without.mask("liver"), iterations=2)
    relative = with_noise.suv[liver] / without.suv[liver] - 1
    assert relative.std() == pytest.approx(0.15, rel=0.1)
    assert relative.mean() == pytest.approx(0.0, abs=0.02)


def test_voxel_size_and_scan_range_are_what_was_asked_for():
    phantom = make_phantom(2, voxel_size_mm=(4.0, 5.0, 6.0), scan_range="whole_body", lesion_count=0)
    assert phantom.spacing_mm == pytest.approx((4.0, 5.0, 6.0))
    assert phantom.suv.shape[2] * 6.0 > 1400
    sizes = {make_phantom(seed, lesion_count=0).spacing_mm for seed in (0, 1)}
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sex": "x"}, "sex must be one of"),
        ({"arms": "crossed"}, "arms must be one of"),
        ({"scan_range": "head"}, "scan_range must be one of"),
        ({"voxel_size_mm": (4, 4)}, "three sizes"),
        ({"voxel_size_mm": (4, 4, -1)}, "three sizes"),
        ({"lesion_count": 2, "lesion_volumes_ml": (1.0,), "voxel_size_mm": (8, 8, 8)}, "volumes"),
        ({"lesion_volumes_ml": (0.0,), "voxel_size_mm": (8, 8, 8)}, "positive"),
    ],
)
def test_bad_options_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        make_phantom(0, **options)


def test_an_unknown_organ_is_refused_with_the_known_ones(man):
    with pytest.raises(ValueError, match=r"no label 'gills'.*liver"):
        man.mask("gills")


def test_targets_are_organs_and_lesions_without_fat_and_muscle(man):
    targets = set(man.target_names.values())
    assert {"liver", "urinary_bladder", "lesion_1"} <= targets
    assert not targets & {"fat", "muscle", "vessels"}


def test_dicom_series_reads_back(tmp_path):
    phantom = make_phantom(1, voxel_size_mm=(8, 8, 8))
    phantom.save_dicom(tmp_path / "series", seed=1)
    volume = read_pet(tmp_path / "series")
    np.testing.assert_allclose(volume.suv, phantom.suv, atol=float(phantom.suv.max()) / 60000)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-3)


def test_nifti_reads_back(tmp_path):
    phantom = make_phantom(1, voxel_size_mm=(8, 8, 8))
    phantom.save(tmp_path / "suv.nii.gz", tmp_path / "labels.nii.gz")
    volume = read_pet(tmp_path / "suv.nii.gz")
    np.testing.assert_allclose(volume.suv, phantom.suv, atol=float(phantom.suv.max()) / 60000)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-4)
