"""Phantoms on organ label maps: a small one made here, and real ones where they are at hand."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from seganypet.data.phantoms import LabelMap, Scanner, find_label_maps, make_label_map_phantom, read_label_maps
from seganypet.data.phantoms.head_neck_maps import HEAD_NECK_NAMES, OPENKBP_LABELS, head_neck_map, skull_inside
from seganypet.data.phantoms.label_map_names import tissues_of
from seganypet.data.phantoms.sources import ATLASES, OPENKBP, SECTIONS, TOTALSEGMENTATOR

STILL = Scanner(fwhm_mm=0.0, noise=0.0)
NAMES = {1: "liver", 2: "kidney_right", 3: "kidney_left", 4: "vertebrae_L1", 5: "urinary_bladder", 6: "hip_left"}


@pytest.fixture
def label_map(tmp_path):
    """A trunk of boxes at 4 mm, RAS+: liver and right kidney on the right (high i)."""
    labels = np.zeros((70, 50, 90), dtype=np.uint8)
    labels[40:62, 12:40, 55:80] = 1
    labels[45:55, 8:16, 40:54] = 2
    labels[15:25, 8:16, 40:54] = 3
    labels[31:39, 8:16, 2:88] = 4
    labels[30:40, 25:35, 8:16] = 5
    labels[12:20, 10:30, 10:30] = 6
    path = tmp_path / "map.nii.gz"
    nib.save(nib.Nifti1Image(labels, np.diag([4, 4, 4, 1.0])), path)
    return path


def centre(phantom, name):
    return (phantom.affine @ [*np.argwhere(phantom.mask(name)).mean(0), 1])[:3]


def test_organs_keep_their_volume_up_to_the_patient_s_size(label_map):
    phantom = make_label_map_phantom(label_map, NAMES, 1, voxel_size_mm=(4, 4, 4), scanner=STILL, lesion_count=0)
    volume = phantom.mask("liver").sum() * 0.064
    assert volume == pytest.approx(22 * 28 * 25 * 0.064, rel=0.45)  # each axis within 12 %, then bent
    assert phantom.suv[phantom.mask("urinary_bladder")].mean() > 3
    assert phantom.suv[phantom.mask("liver")].mean() == pytest.approx(2.2, abs=0.9)


def test_a_body_is_put_around_organs(label_map):
    phantom = make_label_map_phantom(label_map, NAMES, 1, voxel_size_mm=(5, 5, 5), scanner=STILL, lesion_count=0)
    assert phantom.mask("fat").any()
    assert phantom.mask("muscle").any()
    body = phantom.labels > 0
    assert body.mean() < 0.9
    edge = np.concatenate([body[0].ravel(), body[-1].ravel(), body[:, 0].ravel(), body[:, -1].ravel()])
    assert edge.mean() < 0.02  # air all around


@pytest.mark.parametrize("seed", [1, 2])
def test_mirroring_swaps_sides_and_names(label_map, seed):
    plain, mirrored = (
        make_label_map_phantom(
            label_map, NAMES, seed, mirrored=flag, voxel_size_mm=(5, 5, 5), scanner=STILL, lesion_count=0
        )
        for flag in (False, True)
    )
    assert centre(plain, "liver")[0] > centre(plain, "skeleton")[0]
    assert centre(mirrored, "liver")[0] < centre(mirrored, "skeleton")[0]
    for phantom in (plain, mirrored):  # the right kidney lies on the right of either
        assert centre(phantom, "kidney_right")[0] > centre(phantom, "kidney_left")[0]


def test_seeds_give_different_patients_and_repeat(label_map):
    first, again, other = (
        make_label_map_phantom(label_map, NAMES, seed, voxel_size_mm=(5, 5, 5)) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first.suv, again.suv)
    assert first.labels.shape != other.labels.shape or (first.labels != other.labels).any()


def test_organs_the_map_does_not_know_are_added(label_map):
    phantom = make_label_map_phantom(label_map, NAMES, 3, voxel_size_mm=(5, 5, 5), lesion_count=0)
    assert {"heart", "spleen", "bowel"} & set(phantom.label_names.values())


def test_unknown_names_and_maps_without_their_values_are_refused(label_map):
    with pytest.raises(ValueError, match=r"'gills' \(9\)"):
        make_label_map_phantom(label_map, NAMES | {9: "gills"}, 0)
    with pytest.raises(ValueError, match="none of the 1 named"):
        make_label_map_phantom(label_map, {77: "liver"}, 0)
    with pytest.raises(FileNotFoundError):
        make_label_map_phantom(label_map.with_name("absent.nii.gz"), NAMES, 0)


def test_read_label_maps(label_map, tmp_path):
    names = {str(value): name for value, name in NAMES.items()}
    (tmp_path / "names.json").write_text(json.dumps(names))
    (tmp_path / "maps.json").write_text(json.dumps({"map.nii.gz": "names.json"}))
    assert read_label_maps(tmp_path / "maps.json") == [LabelMap(str(label_map), NAMES)]
    (tmp_path / "maps.json").write_text(json.dumps({"absent.nii.gz": names}))
    with pytest.raises(FileNotFoundError, match="absent"):
        read_label_maps(tmp_path / "maps.json")
    for content, said in (("[]", "must be an object like"), ("{", "is not JSON")):
        (tmp_path / "maps.json").write_text(content)
        with pytest.raises(ValueError, match=said):
            read_label_maps(tmp_path / "maps.json")


def test_totalsegmentator_names_are_all_known(shared):
    names = json.loads((shared / "data/labels/label_names.json").read_text())
    assert len(tissues_of({int(value): name for value, name in names.items()})) == 117


@pytest.mark.slow
def test_real_maps_give_whole_patients(shared):
    folder = shared / "data/labels"
    names = {int(value): name for value, name in json.loads((folder / "label_names.json").read_text()).items()}
    trunk = make_label_map_phantom(folder / "s0327_total117_labels.nii.gz", names, 0, voxel_size_mm=(5, 5, 5))
    assert 900 < trunk.mask("liver").sum() * 0.125 < 2200
    assert {"heart", "aorta", "prostate", "spleen", "lung_middle_lobe_right"} <= set(trunk.label_names.values())
    plain = dict(enumerate(("body", "air", "brain", "bronchi", "liver", "lungs", "skeleton"), start=1))
    whole = make_label_map_phantom(
        folder / "mesh50xcat_wholebody_3mm_labels.nii.gz", plain, 0, voxel_size_mm=(5, 5, 5), mirrored=False
    )
    assert {"heart", "kidney_left", "urinary_bladder", "lung_middle_lobe_right"} <= set(whole.label_names.values())
    heights = [centre(whole, name)[2] for name in ("urinary_bladder", "kidney_left", "heart", "brain")]
    assert heights == sorted(heights)


def test_names_that_begin_alike_mean_different_tissues():
    names = dict(
        enumerate(
            (
                "thyroid_gland",
                "thyroid_cartilage",
                "Sacrum",
                "Sacrum-L5-IntervertebralDisc",
                "left_kidney",
                "right_renal_pelvis",
                "splenic_artery",
                "arch_of_aorta",
                "Brainstem",
                "right_gluteus_medius_muscle",
                "colon_and_ileum",
                "celiac_trunk",
                "left_parotid_gland",
            )
        )
    )
    labels = [tissue.label for tissue in tissues_of(names).values()]
    assert labels == [
        *("thyroid_gland", "muscle", "skeleton", "skeleton", "kidney_left", "kidney_right", "vessels", "aorta"),
        *("brain", "muscle", "bowel", "vessels", "parotid_gland_left"),
    ]


def test_the_inside_of_a_skull_is_found_and_a_chest_is_not():
    bone = np.zeros((60, 60, 80), dtype=bool)
    x, y, z = np.ogrid[:60, :60, :80]
    head = np.sqrt((x - 30.0) ** 2 + (y - 30) ** 2 + (z - 62) ** 2)
    bone |= (head > 14) & (head < 17)  # radius 42 to 51 mm
    bone[29:31, 44:48, 55:70] = False  # a gap that leaves rings open
    chest = np.sqrt((x - 30.0) ** 2 + (y - 30) ** 2) * np.ones(80)
    bone |= (chest > 24) & (chest < 26) & (z < 30)
    cavity = skull_inside(bone, np.full(3, 3.0))
    assert not cavity[:, :, :40].any()
    assert cavity.sum() * 0.027 == pytest.approx(4 / 3 * np.pi * 4.2**3, rel=0.1)  # mL
    assert not skull_inside(np.zeros((9, 9, 9), dtype=bool), np.full(3, 3.0)).any()


def test_a_head_and_neck_out_of_its_ct():
    ct = np.zeros((50, 50, 60), dtype=np.int16)  # voxels of 4 mm
    x, y, z = np.ogrid[:50, :50, :60]
    body = ((x - 25.0) ** 2 + (y - 25) ** 2 < 18**2) & (z >= 5)
    ct[body] = 1050
    skull = np.sqrt((x - 25.0) ** 2 + (y - 25) ** 2 + (z - 60) ** 2)
    ct[(skull < 16) & (skull > 13)] = 1900
    ct[22:27, 10:16, 5:46] = 1600  # a spine of 4.8 cm²
    ct[23:26, 35:38, 10:40] = 20  # an airway
    ct[5:10, 24:26, 10:20] = 900  # fat
    labels = np.zeros(ct.shape, dtype=np.uint8)
    labels[30:34, 20:24, 25:29] = OPENKBP_LABELS["LeftParotid"]
    labels[24:27, 24:27, 5:40] = OPENKBP_LABELS["SpinalCord"]
    labels[0:2] = 1
    made = head_neck_map(labels, ct, np.full(3, 4.0))
    names = {value: (made == value).sum() for value in HEAD_NECK_NAMES}
    assert names[10] == 64
    assert made[24, 36, 20] == 4
    assert made[7, 25, 15] == 2
    assert made[25, 25, 56] == 6  # inside the skull
    assert made[25, 18, 20] == 1
    assert made[24, 12, 20] == 3
    assert not made[:, :, :5].any()
    with pytest.raises(ValueError, match="no slice"):
        head_neck_map(labels, np.zeros_like(ct), np.full(3, 4.0))


def test_a_brain_that_stands_without_its_skull_is_left_out():
    ct = np.zeros((50, 50, 60), dtype=np.int16)
    x, y, z = np.ogrid[:50, :50, :60]
    ct[((x - 25.0) ** 2 + (y - 25) ** 2 < 18**2) & (z < 40)] = 1050
    ct[20:30, 10:16, :40] = 1700  # a spine of 9.6 cm²
    ct[((x - 25.0) ** 2 + (y - 25) ** 2 < 16**2) & (z >= 40) & (z < 55)] = 1035  # contoured alone
    ct[20:30, 10:16, 50:52] = 1700  # and something bright in it
    made = head_neck_map(np.zeros(ct.shape, dtype=np.uint8), ct, np.full(3, 4.0))
    assert np.flatnonzero(made.any((0, 1))).tolist() == list(range(40))


def test_each_source_keeps_a_part_out_of_training():
    for table in (TOTALSEGMENTATOR, OPENKBP):
        parts = [set(table[section]) for section in SECTIONS]
        assert all(parts)
        assert sum(map(len, parts)) == len(set().union(*parts))
    atlases = [atlas for section in SECTIONS for atlas in ATLASES[section]]
    assert len(atlases) == len(set(atlases))


def test_sources_of_a_section_are_found_by_name(tmp_path, label_map):
    folder = tmp_path / "labels" / "openkbp"
    folder.mkdir(parents=True)
    for name in ("pt_1_labels", "pt_1_ct", "pt_17_labels", "pt_17_ct", "pt_25_labels"):
        (folder / f"{name}.nii.gz").touch()
    assert [Path(one.path).name for one in find_label_maps(tmp_path, "training")] == ["pt_1_labels.nii.gz"]
    assert [Path(one.ct).name for one in find_label_maps(tmp_path, "test")] == ["pt_17_ct.nii.gz"]
    with pytest.raises(FileNotFoundError, match="validation"):
        find_label_maps(tmp_path, "validation")
    with pytest.raises(ValueError, match="'tests'"):
        find_label_maps(tmp_path, "tests")


def test_every_shared_map_has_its_tissues(shared):
    found = {section: find_label_maps(shared / "data", section) for section in SECTIONS}
    assert {section: len(maps) for section, maps in found.items()} == {"training": 22, "validation": 6, "test": 9}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "name", "volumes_ml"),
    [
        ("training", "HN-Atlas", {"brain": (900, 1700), "parotid_gland_left": (8, 40), "thyroid_gland": (4, 30)}),
        ("test", "pt_193", {"brain": (800, 1700), "parotid_gland_left": (5, 40)}),
        ("test", "abdominal_atlas", {"liver": (500, 1500), "kidney_left": (100, 260), "stomach": (100, 600)}),
        ("validation", "s0011", {"liver": (1000, 2600), "spleen": (80, 400), "heart": (300, 1000)}),
    ],
)
def test_real_maps_have_organs_of_an_adult_s_volume(shared, section, name, volumes_ml):
    which = next(one for one in find_label_maps(shared / "data", section) if name in one.path)
    phantom = make_label_map_phantom(
        which.path,
        which.names,
        0,
        ct_path=which.ct,
        map_spacing_mm=which.spacing_mm,
        voxel_size_mm=(4, 4, 4),
        lesion_count=0,
    )
    for organ, (low, high) in volumes_ml.items():
        assert low < phantom.mask(organ).sum() * 0.064 < high
