import numpy as np
import pytest
from fake_networks import BallNet, ComponentNet, box_volume

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter
from seganypet.pet import PetVolume


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def blobs(shape, spacing_mm, seed=0):
    """An asymmetric volume of three ellipsoids, and a click in the largest."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) * spacing_mm
    voxels = 0.1 * rng.random(shape)
    for centre, radii, suv in (((30, 40, 50), (14, 10, 22), 3), ((30, 62, 50), (5, 6, 7), 4), ((60, 20, 90), 9, 5)):
        voxels += suv * (((grid - centre) / radii) ** 2 < 1).all(-1) * ((((grid - centre) / radii) ** 2).sum(-1) < 1)
    click = tuple(round(c / s) for c, s in zip((33, 41, 44), spacing_mm, strict=True))
    return PetVolume(voxels.astype(np.float32), np.diag([*spacing_mm, 1.0])), click


@pytest.mark.parametrize("placement", ["grid", "click"])
@pytest.mark.parametrize("flips", [(0,), (1, 2), (0, 1, 2)])
def test_a_volume_stored_flipped_gives_the_flipped_mask(placement, flips):
    volume, click = blobs((24, 31, 45), (3.3, 2.7, 2.4))
    mask = ClickSegmenter(ComponentNet(placement=placement)).segment(volume, [Click(click)])
    assert mask.sum() > 100
    affine = volume.affine.copy()
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
        affine[:3, axis] *= -1
    flipped = PetVolume(np.flip(volume.voxels, flips), affine)
    other = tuple(
        n - 1 - c if axis in flips else c for axis, (n, c) in enumerate(zip(volume.shape, click, strict=True))
    )
    found = ClickSegmenter(ComponentNet(placement=placement)).segment(flipped, [Click(other)])
    assert np.array_equal(np.flip(found, flips), mask)


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1)])
def test_a_volume_stored_with_permuted_axes_gives_the_permuted_mask(order):
    volume, click = blobs((24, 31, 45), (3.3, 2.7, 2.4))
    mask = ClickSegmenter(ComponentNet()).segment(volume, [Click(click)])
    permuted = PetVolume(volume.voxels.transpose(order), volume.affine[:, [*order, 3]])
    found = ClickSegmenter(ComponentNet()).segment(permuted, [Click(tuple(click[axis] for axis in order))])
    assert np.array_equal(found, mask.transpose(order))


@pytest.mark.parametrize("shift", [(2, -4, 6), (10, 0, 2)])
def test_shifted_uptake_gives_the_shifted_mask(shift):
    volume = box_volume((48, 48, 64), ((20, 26), (18, 22), (21, 30)), suv=1.0)
    shifted = PetVolume(np.roll(volume.voxels, shift, (0, 1, 2)), volume.affine)
    mask = ClickSegmenter(ComponentNet(placement="click")).segment(volume, [Click((22, 20, 24))])
    moved = tuple(c + s for c, s in zip((22, 20, 24), shift, strict=True))
    found = ClickSegmenter(ComponentNet(placement="click")).segment(shifted, [Click(moved)])
    assert mask.any()
    assert np.array_equal(found, np.roll(mask, shift, (0, 1, 2)))


def test_where_the_patient_lies_does_not_matter():
    volume, click = blobs((24, 31, 45), (3.3, 2.7, 2.4))
    affine = volume.affine.copy()
    affine[:3, 3] = (-310.7, 95.2, 1204.9)
    masks = [
        ClickSegmenter(ComponentNet()).segment(each, [Click(click)])
        for each in (volume, PetVolume(volume.voxels, affine))
    ]
    assert np.array_equal(*masks)


def sphere(native_mm):
    """A 10 mL sphere of SUV 1, and its centre as a voxel index."""
    radius_mm = (10_000 * 3 / (4 * np.pi)) ** (1 / 3)
    centre_mm = np.array([44.3, 46.1, 43.7])
    shape = tuple(int(90 / mm) for mm in native_mm)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) * native_mm
    inside = np.linalg.norm(grid - centre_mm, axis=-1) < radius_mm
    return PetVolume(inside.astype(np.float32), np.diag([*native_mm, 1.0])), tuple(centre_mm / native_mm), radius_mm


NATIVE_AND_WORKING_MM = [
    ((2.0, 2.0, 2.0), 2.0),
    ((2.0, 2.0, 2.0), 1.5),
    ((3.0, 3.0, 3.0), 3.0),
    ((4.07, 4.07, 3.0), 3.0),
    ((4.6875, 4.6875, 3.27), 3.0),
]


@pytest.mark.parametrize("placement", ["grid", "click"])
@pytest.mark.parametrize(("native_mm", "working_mm"), NATIVE_AND_WORKING_MM)
def test_a_ten_millilitre_sphere_survives_the_way_out_and_back(native_mm, working_mm, placement):
    volume, centre, _ = sphere(native_mm)
    net = ComponentNet(window=32, stride=1, spacing_mm=working_mm, placement=placement)
    assert dice(ClickSegmenter(net).segment(volume, [Click(centre)]), volume.voxels > 0) >= 0.98


@pytest.mark.parametrize(
    ("native_mm", "working_mm", "stride"),
    [((2.0, 2.0, 2.0), 1.5, 4), ((4.07, 4.07, 3.0), 1.5, 4), ((4.07, 4.07, 3.0), 3.0, 2), ((2.0, 2.0, 2.0), 2.0, 2)],
)
def test_a_ten_millilitre_sphere_fits_through_a_coarser_logit_grid(native_mm, working_mm, stride):
    volume, centre, radius_mm = sphere(native_mm)
    net = BallNet(radius_mm, window=48, stride=stride, spacing_mm=working_mm, placement="click")
    assert dice(ClickSegmenter(net).segment(volume, [Click(centre)]), volume.voxels > 0) >= 0.98
