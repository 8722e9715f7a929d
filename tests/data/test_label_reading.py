"""The one reader of label maps: what it takes, in which form, and what it refuses by name."""

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk

from seganypet.data.label_reading import LabelError, read_label_map
from seganypet.pet import PetVolume, read_pet

AFFINE = np.array([[-4.0, 0, 0, 90], [0, 4, 0, -80], [0, 0, 3, -700], [0, 0, 0, 1]])
SHAPE = (6, 5, 4)


@pytest.fixture
def volume():
    return PetVolume(np.ones(SHAPE, np.float32), AFFINE)


def lesion(dtype=np.uint8):
    voxels = np.zeros(SHAPE, dtype)
    voxels[1:3, 2:4, 1:3] = 1
    return voxels


def nifti(path, voxels, affine=AFFINE):
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".NII.GZ"])
def test_every_format_gives_the_same_map(tmp_path, volume, ending):
    path = nifti(tmp_path / "label.nii.gz", lesion())
    if ending != ".nii.gz":
        other = tmp_path / f"label{ending}"
        if ending == ".NII.GZ":
            path.rename(other)
        else:
            sitk.WriteImage(sitk.ReadImage(str(path)), str(other))
        path = other
    label = read_label_map(path, volume)
    assert label.voxels.dtype == np.int16
    np.testing.assert_array_equal(label.voxels, lesion())
    np.testing.assert_allclose(label.affine, AFFINE, atol=1e-4)
    assert label.names == {}


@pytest.mark.parametrize(
    "voxels",
    [
        lesion(np.float32),
        lesion(np.float64) * 1.0000001,
        lesion(np.int32),
        lesion()[..., None],
        lesion(bool).astype("i1"),
    ],
    ids=["float", "scaled", "int32", "one frame", "int8"],
)
def test_whole_numbers_in_other_types_are_taken(tmp_path, volume, voxels):
    np.testing.assert_array_equal(read_label_map(nifti(tmp_path / "l.nii.gz", voxels), volume).voxels, lesion())


def test_values_above_255_stay_what_they_are(tmp_path, volume):
    path = nifti(tmp_path / "l.nii.gz", lesion(np.int16) * 300)
    assert np.unique(read_label_map(path, volume).voxels).tolist() == [0, 300]


def changed(value, dtype=np.float32):
    voxels = lesion(dtype)
    voxels[0, 0, 0:2] = value
    return voxels


@pytest.mark.parametrize(
    ("voxels", "said"),
    [
        (changed(0.3), r"holds 2 voxels that are no whole numbers, as 0\.3"),
        (changed(np.nan), "holds 2 voxels that are NaN or infinite"),
        (changed(-1, np.int16), r"values from -1 to 1; labels run from 0 to 32767"),
        (changed(70000, np.int32), "values from 0 to 70000"),
        (np.stack([lesion(), lesion()], -1), r"has shape \[6, 5, 4, 2\]: one 3-D map"),
        (lesion()[:5], r"has shape \[5, 5, 4\], its study \[6, 5, 4\]"),
    ],
)
def test_what_are_no_labels_is_refused_by_name(tmp_path, volume, voxels, said):
    with pytest.raises(LabelError, match=said) as refused:
        read_label_map(nifti(tmp_path / "odd.nii.gz", voxels), volume)
    assert "odd.nii.gz" in str(refused.value)


def test_a_grid_beside_the_studys_is_refused(tmp_path, volume):
    beside = AFFINE.copy()
    beside[0, 3] += 3
    with pytest.raises(LabelError, match=r"lies up to 3\.0 mm beside its study"):
        read_label_map(nifti(tmp_path / "l.nii.gz", lesion(), beside), volume)


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_the_other_direction_of_the_same_grid_is_the_same_grid(tmp_path, volume, axes):
    affine = AFFINE.copy()
    for axis in axes:
        affine[:3, 3] += affine[:3, axis] * (SHAPE[axis] - 1)
        affine[:3, axis] *= -1
    path = nifti(tmp_path / "l.nii.gz", np.flip(lesion(), axes).copy(), affine)
    label = read_label_map(path, volume)
    np.testing.assert_array_equal(label.voxels, lesion())
    np.testing.assert_allclose(label.affine, AFFINE, atol=1e-5)


def test_another_order_of_the_same_axes_is_the_same_grid(tmp_path, volume):
    path = nifti(tmp_path / "l.nii.gz", lesion().transpose(2, 0, 1).copy(), AFFINE[:, [2, 0, 1, 3]])
    np.testing.assert_array_equal(read_label_map(path, volume).voxels, lesion())


def test_files_that_are_none_are_named(tmp_path, volume):
    (tmp_path / "broken.nrrd").write_bytes(b"NRRD")
    with pytest.raises(LabelError, match=r"broken\.nrrd cannot be read"):
        read_label_map(tmp_path / "broken.nrrd", volume)
    with pytest.raises(LabelError, match=r"is none of \.nii"):
        read_label_map(tmp_path / "label.txt", volume)


def slicer(path, layers, segments):
    """A .seg.nrrd as Slicer writes it: layers first, segments as (name, value, layer)."""
    header = {
        "space": "right-anterior-superior",
        "space directions": np.vstack([[np.nan] * 3, AFFINE[:3, :3].T]),
        "space origin": AFFINE[:3, 3],
        "kinds": ["list", "domain", "domain", "domain"],
        "encoding": "gzip",
    }
    for n, (name, value, layer) in enumerate(segments):
        header |= {f"Segment{n}_Name": name, f"Segment{n}_LabelValue": str(value), f"Segment{n}_Layer": str(layer)}
    nrrd.write(str(path), np.stack(layers), header)
    return path


def boxes():
    liver, node = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    liver[0:5, 1:4, 0:3] = 1  # 45 voxels
    node[4:6, 3:5, 2:4] = 1  # 8 voxels, one of them in the liver
    return liver, node


@pytest.mark.parametrize("order", [("liver", "lesion"), ("lesion", "liver")])
def test_overlapping_segments_of_slicer_keep_the_lesion(tmp_path, volume, order, caplog):
    of = dict(zip(("liver", "lesion"), boxes(), strict=True))
    path = slicer(tmp_path / "s.seg.nrrd", [of[name] for name in order], [(name, 1, n) for n, name in enumerate(order)])
    label = read_label_map(path, volume)
    assert label.names == {1: order[0], 2: order[1]}
    sizes = {label.names[value]: int((label.voxels == value).sum()) for value in (1, 2)}
    assert sizes == {"lesion": 8, "liver": 44}
    assert "overlap in 1 voxels" in caplog.text


def test_segments_of_their_own_values_keep_them(tmp_path, volume):
    liver, node = boxes()
    path = slicer(tmp_path / "s.seg.nrrd", [liver * 3, node * 7], [("liver", 3, 0), ("lesion", 7, 1)])
    label = read_label_map(path, volume)
    assert label.names == {3: "liver", 7: "lesion"}
    assert int((label.voxels == 7).sum()) == 8


def test_two_segments_of_one_layer_are_told_by_their_values(tmp_path, volume):
    one = boxes()[0]
    one[5, 0, 0] = 2
    path = slicer(tmp_path / "s.seg.nrrd", [one], [("liver", 1, 0), ("lesion", 2, 0)])
    label = read_label_map(path, volume)
    assert {label.names[v]: int((label.voxels == v).sum()) for v in (1, 2)} == {"liver": 45, "lesion": 1}


def test_layers_that_nothing_names_are_refused(tmp_path, volume):
    with pytest.raises(LabelError, match="has 2 layers and names no segments"):
        read_label_map(slicer(tmp_path / "s.seg.nrrd", list(boxes()), []), volume)
    with pytest.raises(LabelError, match="segment 'liver' names layer 4"):
        read_label_map(slicer(tmp_path / "t.seg.nrrd", list(boxes()), [("liver", 1, 4)]), volume)


def test_a_label_on_nibabels_guess_lies_on_a_study_that_says_no_place(tmp_path):
    """As nibabel writes one from the image's own affine, and this package did before it took ITK's guess."""
    image = nib.Nifti1Image(np.ones(SHAPE, np.float32), None)
    image.header.set_zooms((4, 4, 3))
    nib.save(image, tmp_path / "pet.nii.gz")
    guess = nib.load(tmp_path / "pet.nii.gz").affine
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[1, 2, 3] = 1
    study = read_pet(tmp_path / "pet.nii.gz")
    assert not np.allclose(study.affine, guess)
    for affine in (guess, study.affine):
        label = read_label_map(nifti(tmp_path / "label.nii.gz", voxels, affine), study)
        np.testing.assert_array_equal(label.voxels, voxels)
        np.testing.assert_allclose(label.affine, study.affine)
    moved = guess.copy()
    moved[0, 3] += 12
    with pytest.raises(LabelError, match="beside its study"):
        read_label_map(nifti(tmp_path / "label.nii.gz", voxels, moved), study)
