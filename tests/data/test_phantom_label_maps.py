"""Phantoms on organ label maps: a small one made here, and real ones where they are at hand."""

import json

import nibabel as nib
import numpy as np
import pytest

from seganypet.data.phantoms import Scanner, make_label_map_phantom, read_label_maps
from seganypet.data.phantoms.label_map_names import tissues_of

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
    assert read_label_maps(tmp_path / "maps.json") == {str(label_map): NAMES}
    (tmp_path / "maps.json").write_text(json.dumps({"absent.nii.gz": names}))
    with pytest.raises(FileNotFoundError, match="absent"):
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
