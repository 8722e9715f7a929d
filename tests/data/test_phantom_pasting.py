"""Real tumours pasted into phantoms: exact copies, at most 2 cm of their surroundings."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from seganypet.data.phantoms import make_phantom, paste_crop
from seganypet.data.phantoms.anatomy import FIRST_LESION, VALUES

SIZE = (4.0, 4.0, 4.0)


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(2, voxel_size_mm=SIZE, lesion_count=1, scan_range="vertex_to_thigh")


def ball(spacing=SIZE, radius_mm=14.0, reach_mm=50.0):
    """A crop of SUV 0.7 with a ball of SUV 7, both a little noisy, and the ball's mask."""
    axes = [np.arange(-reach_mm, reach_mm + 1, step) for step in spacing]
    distance = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    mask = distance <= radius_mm
    suv = np.where(mask, 7.0, 0.7) + np.random.default_rng(0).normal(0, 0.05, mask.shape)
    return suv.astype(np.float32), mask, np.diag([*spacing, 1.0])


def test_the_tumour_is_copied_voxel_by_voxel_on_the_same_grid(phantom):
    suv, mask, affine = ball()
    pasted = paste_crop(phantom, suv, mask, affine, 0)
    lesion = pasted.lesions[-1]
    there = pasted.labels == lesion.value
    assert there.sum() == mask.sum()
    np.testing.assert_allclose(np.sort(pasted.suv[there]), np.sort(suv[mask]), rtol=1e-5)
    assert pasted.label_names[lesion.value] == lesion.name == f"lesion_{len(pasted.lesions)}"
    assert lesion.volume_ml == pytest.approx(mask.sum() * 0.064)


@pytest.mark.parametrize("margin_mm", [20.0, 12.0])
def test_nothing_beyond_the_margin_changes(phantom, margin_mm):
    suv, mask, affine = ball()
    pasted = paste_crop(phantom, suv, mask, affine, 1, margin_mm=margin_mm)
    there = pasted.labels == pasted.lesions[-1].value
    distance = ndimage.distance_transform_edt(~there, sampling=SIZE)
    changed = pasted.suv != phantom.suv
    assert changed[there].all()
    assert distance[changed].max() <= margin_mm
    assert (changed & (distance > 0.5 * margin_mm)).any()
    np.testing.assert_array_equal(pasted.labels[~there], phantom.labels[~there])


def test_it_lies_in_soft_tissue_and_leaves_organs_and_lesions(phantom):
    suv, mask, affine = ball()
    for seed in range(5):
        pasted = paste_crop(phantom, suv, mask, affine, seed)
        there = pasted.labels == pasted.lesions[-1].value
        under = phantom.labels[there]
        assert np.isin(under, [VALUES["fat"], VALUES["muscle"], VALUES["skeleton"], 0]).mean() > 0.8
        assert under.max() < FIRST_LESION
        organs = phantom.mask("liver") & ~there
        np.testing.assert_array_equal(pasted.suv[organs], phantom.suv[organs])


def test_other_voxel_sizes_and_axes_keep_the_volume(phantom):
    suv, mask, affine = ball(spacing=(2.5, 3.0, 5.0))
    volume = mask.sum() * 2.5 * 3 * 5 / 1000
    turned = affine @ np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    for crop, inside, where in (
        (suv, mask, affine),
        (suv.transpose(1, 2, 0), mask.transpose(1, 2, 0), turned),  # any right-angled order of axes
    ):
        pasted = paste_crop(phantom, crop, inside, where, 0)
        assert pasted.lesions[-1].volume_ml == pytest.approx(volume, rel=0.06)
        assert pasted.lesions[-1].requested_ml == pytest.approx(volume, rel=1e-6)


def test_the_phantom_itself_is_not_changed_and_seeds_repeat(phantom):
    suv, mask, affine = ball()
    before = phantom.suv.copy()
    first, again = (paste_crop(phantom, suv, mask, affine, 4) for _ in range(2))
    np.testing.assert_array_equal(phantom.suv, before)
    np.testing.assert_array_equal(first.suv, again.suv)
    assert (first.labels != paste_crop(phantom, suv, mask, affine, 5).labels).any()


def test_refusals(phantom):
    suv, mask, affine = ball()
    with pytest.raises(ValueError, match="empty"):
        paste_crop(phantom, suv, np.zeros_like(mask), affine)
    with pytest.raises(ValueError, match="alike"):
        paste_crop(phantom, suv[1:], mask, affine)
    with pytest.raises(ValueError, match="margin_mm <= 20"):
        paste_crop(phantom, suv, mask, affine, margin_mm=25)
    with pytest.raises(ValueError, match="no room"):
        paste_crop(phantom, np.ones((120, 120, 120), np.float32), np.ones((120, 120, 120), bool), affine)


def test_a_real_sarcoma(phantom, shared):
    folder = shared / "data/sts_crops"
    image, label = nib.load(folder / "STS_010_suv.nii.gz"), nib.load(folder / "STS_010_gtv.nii.gz")
    mask = np.asarray(label.dataobj) > 0
    pasted = paste_crop(phantom, image.get_fdata(dtype=np.float32), mask, image.affine, 0)
    real = mask.sum() * abs(np.linalg.det(image.affine[:3, :3])) / 1000
    assert pasted.lesions[-1].volume_ml == pytest.approx(real, rel=0.05)
