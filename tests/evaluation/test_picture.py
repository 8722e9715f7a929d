import numpy as np
import pytest
from matplotlib.image import imread

from seganypet.clicks import Click
from seganypet.evaluation.picture import Layout, study_picture
from seganypet.evaluation.radiological_view import RadiologicalView
from seganypet.pet import PetVolume

RED = (0.839, 0.153, 0.157)


def phantom(flip=False):
    voxels = np.full((30, 20, 50), 1.0, dtype=np.float32)
    voxels[4:10, 8:12, 30:38] = 6.0
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    if flip:
        voxels, affine = voxels[::-1], np.diag([-4.0, 4.0, 4.0, 1.0])
    return PetVolume(voxels, affine)


def near(image, colour):
    return np.abs(image[..., :3] - colour).max(-1) < 0.08


def test_a_mask_is_outlined_where_it_lies(tmp_path):
    volume = phantom()
    mask = volume.voxels > 5
    image = imread(study_picture(volume, {"lesion": mask}, tmp_path / "a" / "picture.png", dpi=60))
    view = RadiologicalView.of(volume)
    layout = Layout.of(view, 1, 8.0)
    height, width = image.shape[:2]
    x0, y0, w, h = layout.box(
        layout.margin, layout.head + (layout.body - layout.projection) / 2, layout.widths[0], layout.projection
    )
    coronal = image[int((1 - y0 - h) * height) : int((1 - y0) * height), int(x0 * width) : int((x0 + w) * width)]
    rows, columns = np.nonzero(near(coronal, RED))
    # x from 4 to 10 of 30 voxels is the patient's left half, shown on the right; z from 30 to 38 of 50, shown upwards
    assert columns.min() / coronal.shape[1] > 20 / 30 - 0.04
    assert columns.max() / coronal.shape[1] < 26 / 30 + 0.04
    assert rows.min() / coronal.shape[0] > 12 / 50 - 0.04
    assert rows.max() / coronal.shape[0] < 20 / 50 + 0.04


def test_a_volume_stored_flipped_gives_the_same_picture(tmp_path):
    pictures = []
    for flip in (False, True):
        volume = phantom(flip)
        click = Click((29 - 7 if flip else 7, 10, 34))
        path = study_picture(
            volume, {"lesion": volume.voxels > 5}, tmp_path / "p.png", clicks={"lesion": [click]}, dpi=50
        )
        pictures.append(imread(path))
    assert np.array_equal(*pictures)


def test_many_masks_an_empty_one_none_and_unknown_units(tmp_path):
    volume = phantom()
    masks = {f"organ {n}": (volume.voxels > 5) & (np.arange(50) < 31 + n) for n in range(6)}
    assert study_picture(volume, {**masks, "nothing": volume.voxels > 99}, tmp_path / "many.png", dpi=40).is_file()
    assert study_picture(volume, {}, tmp_path / "none.png", dpi=40).is_file()
    counts = PetVolume(volume.voxels * 1000, volume.affine, units="CNTS")
    assert study_picture(counts, {"a": volume.voxels > 5}, tmp_path / "counts.png", dpi=40).is_file()
    empty = PetVolume(np.zeros((1, 4, 4), dtype=np.float32), volume.affine)
    assert study_picture(empty, {"all": np.ones((1, 4, 4), dtype=bool)}, tmp_path / "thin.png", dpi=40).is_file()


def test_a_mask_of_another_shape_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"'liver' has shape \(2, 2, 2\), the volume \(30, 20, 50\)"):
        study_picture(phantom(), {"liver": np.ones((2, 2, 2), dtype=bool)}, tmp_path / "p.png")
