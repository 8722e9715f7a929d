"""Masks as files, read back by the libraries that viewers use."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from lib.store.mask_files import mask_bytes

OBLIQUE = np.array([[0.0, -2.0, 0.3, 10.0], [4.0, 0.0, 0.0, -20.0], [0.0, 0.45, 3.0, 5.0], [0, 0, 0, 1]])
FLIPPED = np.array([[-4.0, 0, 0, 50], [0, 2.0, 0, -30], [0, 0, -3.0, -700], [0, 0, 0, 1]])


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((5, 4, 3), bool)
    mask[1, 2, 0] = mask[4, 3, 2] = True
    return mask


@pytest.mark.parametrize("affine", [OBLIQUE, FLIPPED])
@pytest.mark.parametrize("compress", [False, True])
def test_nrrd_puts_each_voxel_where_the_study_has_it(mask, affine, compress, tmp_path):
    file = tmp_path / "mask.nrrd"
    file.write_bytes(mask_bytes(mask, affine, extension=".nrrd", compress=compress))
    image = sitk.ReadImage(str(file))
    assert image.GetPixelID() == sitk.sitkUInt8
    for index in [(1, 2, 0), (4, 3, 2)]:
        assert image[index] == 1
        x, y, z = (affine @ [*index, 1])[:3]
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), (-x, -y, z), atol=0.05)
    assert sitk.GetArrayViewFromImage(image).sum() == 2


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_nifti_has_the_affine_and_the_type_asked_for(mask, extension, order, tmp_path):
    file = tmp_path / f"mask{extension}"
    file.write_bytes(mask_bytes(np.asarray(mask, order=order), FLIPPED, extension=extension, dtype="int16"))
    image = nib.load(file)
    assert image.get_data_dtype() == np.int16
    np.testing.assert_array_equal(image.get_fdata(), mask)
    np.testing.assert_allclose(image.affine, FLIPPED)
    np.testing.assert_allclose(image.get_qform(), FLIPPED)


def test_the_same_mask_gives_the_same_bytes(mask):
    for extension in (".nrrd", ".nii.gz"):
        assert mask_bytes(mask, FLIPPED, extension=extension) == mask_bytes(mask, FLIPPED, extension=extension)


def test_other_formats_are_refused(mask):
    with pytest.raises(ValueError, match=r"'\.mha'"):
        mask_bytes(mask, FLIPPED, extension=".mha")
