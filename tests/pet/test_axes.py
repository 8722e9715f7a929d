"""Where ITK's images lie, in the axes of this project."""

import numpy as np
import pytest
import SimpleITK as sitk

from seganypet.pet.axes import itk_affine


def image(shape: tuple[int, ...]) -> sitk.Image:
    """Columns to the patient's back, rows to the left, as far as there are axes."""
    one = sitk.Image(list(shape), sitk.sitkUInt8)
    turn = np.eye(len(shape))
    turn[:2, :2] = [[0, 1], [1, 0]]
    one.SetDirection(turn.ravel().tolist())
    one.SetSpacing([2.0, 3.0, 4.0, 5.0][: len(shape)])
    one.SetOrigin([10.0, 20.0, 30.0, 40.0][: len(shape)])
    return one


BY_HAND = np.array([[0, -3.0, 0, -10], [-2.0, 0, 0, -20], [0, 0, 4.0, 30], [0, 0, 0, 1]])


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 6, 1)])
def test_the_affine_by_hand(shape, tmp_path):
    np.testing.assert_allclose(itk_affine(image(shape)), BY_HAND)
    sitk.WriteImage(image(shape), str(tmp_path / "a.mha"))
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(tmp_path / "a.mha"))
    reader.ReadImageInformation()
    np.testing.assert_allclose(itk_affine(reader), BY_HAND)


def test_a_plane_lies_at_nought():
    np.testing.assert_allclose(
        itk_affine(image((4, 5))), [[0, -3, 0, -10], [-2, 0, 0, -20], [0, 0, 1, 0], [0, 0, 0, 1]]
    )
