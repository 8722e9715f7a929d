"""Voxel (i, j, k) of a DICOM series is the voxel that ITK, and so Slicer and OHIF, call (i, j, k): any orientation."""

import random

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from series_editing import AXIAL

from seganypet.pet import PetReadError, read_pet, write_pet_dicom_series
from seganypet.pet.slice_geometry import slice_order_and_affine


def turned(*degrees: float) -> np.ndarray:
    """Rotation about the three axes in turn."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        others = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[np.ix_(others, others)] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix = turn @ matrix
    return matrix


def placed(directions) -> np.ndarray:
    """An affine with these axis directions (columns), anisotropic spacing and an odd origin."""
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions) * (4.0, 3.0, 2.5)
    affine[:3, 3] = (91.5, -80.25, -700.125)
    return affine


ORIENTATIONS = {
    "axial, head first": placed(np.diag([-1, -1, 1])),
    "axial, feet first": placed(np.diag([1, -1, -1])),
    "prone": placed(np.diag([1, 1, 1])),
    "left-handed": placed(np.diag([-1, -1, -1])),
    "left-handed, flipped rows": placed(np.diag([1, -1, 1])),
    "sagittal": placed([[0, 0, 1], [-1, 0, 0], [0, -1, 0]]),
    "coronal": placed([[-1, 0, 0], [0, 0, -1], [0, -1, 0]]),
    "permuted": placed([[0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    "oblique": placed(turned(10, -25, 40)),
    "oblique, feet first": placed(turned(170, 8, -20) @ np.diag([1, 1, -1])),
}


@pytest.mark.parametrize("affine", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_geometry_and_voxels_equal_itks_with_shuffled_names_and_numbers(tmp_path, suv, affine):
    numbers = random.Random(3).sample(range(1, 8), 7)
    files = write_pet_dicom_series(suv, affine, tmp_path / "written", instance_numbers=numbers)
    folder = tmp_path / "shuffled"
    folder.mkdir()
    for number, file in zip(random.Random(4).sample(range(7), 7), files, strict=True):
        file.rename(folder / f"{number}")  # no .dcm either

    volume = read_pet(folder)

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    assert image.GetSize() == volume.shape
    lps = np.diag([-1, -1, 1, 1]) @ volume.affine
    np.testing.assert_allclose(lps[:3, 3], image.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(
        lps[:3, :3], np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing()), atol=1e-4
    )
    bqml = sitk.GetArrayFromImage(image).T
    factor = volume.suv_provenance.factor_range[0]
    np.testing.assert_allclose(volume.suv, bqml * factor, rtol=1e-6)
    # and the patient's point of each voxel is the one it was written to
    ijk = np.argwhere(suv == suv.max())[0]
    back = np.rint(np.linalg.inv(volume.affine) @ affine @ (*ijk, 1)).astype(int)[:3]
    assert volume.suv[tuple(back)] == pytest.approx(suv.max(), rel=1e-4)
    assert (np.linalg.det(volume.affine) > 0) or np.linalg.det(affine) < 0


@pytest.mark.parametrize("name", ["axial, head first", "axial, feet first", "oblique", "permuted"])
def test_round_trip_keeps_indices_where_the_affine_is_right_handed(tmp_path, suv, name):
    write_pet_dicom_series(suv, ORIENTATIONS[name], tmp_path)
    volume = read_pet(tmp_path)
    np.testing.assert_allclose(volume.affine, ORIENTATIONS[name], atol=1e-6)
    # half a slope: the slice's maximum over 131,070
    tolerance = suv.max(axis=(0, 1)) / 131_070 * 1.01
    assert (np.abs(volume.suv - suv) <= tolerance + 1e-6).all()
    paths = [pydicom.dcmread(file).ImagePositionPatient for file in volume.source.files]
    np.testing.assert_allclose(
        np.array(paths, dtype=float) @ np.diag([-1, -1, 1]),
        (ORIENTATIONS[name] @ np.array([[0, 0, k, 1] for k in range(7)]).T)[:3].T,
        atol=1e-6,
    )


NAMES = [f"file {index}" for index in range(101)]
HEAD_FIRST = (1, 0, 0, 0, 1, 0)


def stacked(z_mm, orientation=HEAD_FIRST, **options):
    positions = [(0, 0, z) for z in z_mm]
    return slice_order_and_affine(positions, orientation, (3, 4), NAMES[: len(positions)], **options)


def test_affine_by_hand():
    order, affine = stacked([20, 10, 15])
    assert order.tolist() == [1, 2, 0]
    # PixelSpacing is between rows, then between columns; LPS x and y turn their sign in RAS
    np.testing.assert_array_equal(affine, [[-4, 0, 0, 0], [0, -3, 0, 0], [0, 0, 5, 10], [0, 0, 0, 1]])


def test_single_slice_takes_its_thickness():
    assert stacked([5], thickness_mm=3.27)[1][2, 2] == 3.27
    with pytest.raises(PetReadError, match=r"file 0 .*SliceThickness"):
        stacked([5])


@pytest.mark.parametrize("gaps", [[3.19, 3.27, 3.29], [3.27] * 30 + [3.2] + [3.27] * 5])
def test_gaps_of_real_series_are_read(gaps):
    z = np.cumsum([0, *gaps])
    assert stacked(z)[1][2, 2] == pytest.approx(z[-1] / len(gaps))


@pytest.mark.parametrize(
    ("z_mm", "message"),
    [
        ([0, 3, 9, 12], r"missing slices: 1 between file 1 \(at 3\.00 mm\) and file 2 \(at 9\.00 mm\)"),
        ([0, 3, 6, 15, 18], "missing slices: 2 between file 2"),
        ([0, 3, 3, 6], r"1 duplicate slice positions, the first: file 1 \(at 3\.00 mm\) and file 2"),
        ([0, 0, 3, 3, 6, 6], "3 duplicate slice positions"),
        ([0, 3, 6.15, 9.15], "differ by more than 0.1 mm: 3.000 mm between file 0 .* 3.150 mm between file 1"),
        # 50 gaps of 1.00 and 50 of 1.09 mm: in the middle the slices are 2.25 mm off, each gap within a tenth
        (np.cumsum([0, *[1.0] * 50, *[1.09] * 50]), "add up to half a slice: file 50 lies 2.25 mm off"),
    ],
)
def test_uneven_stacks_name_the_files(z_mm, message):
    with pytest.raises(PetReadError, match=message):
        stacked(z_mm)


def test_slices_beside_each_other_and_bad_directions():
    positions = [(0, 0, 0), (0, 3, 3), (0, 6, 6)]
    with pytest.raises(PetReadError, match=r"not stacked along their normal: file 2 lies 6\.00 mm beside file 0"):
        slice_order_and_affine(positions, HEAD_FIRST, (3, 3), NAMES[:3])
    with pytest.raises(PetReadError, match=r"ImageOrientationPatient \(0020,0037\)"):
        stacked([0, 3], orientation=(1, 0, 0, 0.7, 0.7, 0))
    with pytest.raises(PetReadError, match=r"PixelSpacing \(0028,0030\) is 0\\4"):
        slice_order_and_affine([(0, 0, 0), (0, 0, 3)], HEAD_FIRST, (0, 4), NAMES[:2])


def test_writer_refuses_what_dicom_cannot_hold(tmp_path, suv):
    with pytest.raises(ValueError, match="negative"):
        write_pet_dicom_series(-suv, AXIAL, tmp_path)
    sheared = AXIAL.copy()
    sheared[0, 1] = 1
    with pytest.raises(ValueError, match="right angles"):
        write_pet_dicom_series(suv, sheared, tmp_path)
    with pytest.raises(ValueError, match="2 instance numbers for 7 slices"):
        write_pet_dicom_series(suv, AXIAL, tmp_path, instance_numbers=[1, 2])
