"""Tracers, brain pattern, regions, breathing, real lesions' shapes: what a phantom is made with besides its anatomy."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from seganypet.data.phantoms import LesionMap, Options, Scanner, find_lesion_maps, make_label_map_phantom, make_phantom
from seganypet.data.phantoms.anatomy import UPTAKES, VALUES, draw_uptakes
from seganypet.data.phantoms.brain_pattern import paint_brain_pattern
from seganypet.data.phantoms.canvas import Canvas
from seganypet.data.phantoms.lesion_maps import read_lesions
from seganypet.data.phantoms.lesion_shapes import filled_share
from seganypet.data.phantoms.options import MOST_VOXELS, region_side_mm
from seganypet.data.phantoms.scanner import FINE_VOXELS_MM, breathe, draw_voxel_size
from seganypet.data.phantoms.sources import SECTIONS

STILL = Scanner(fwhm_mm=0.0, noise=0.0)


def still(**options):
    return make_phantom(
        5,
        sex="male",
        scan_range="vertex_to_thigh",
        voxel_size_mm=(6, 6, 6),
        scanner=STILL,
        lesion_count=0,
        options=Options(**options),
    )


def test_other_tracers_have_hot_glands_and_a_cold_brain():
    fdg, psma, dotatate = (still(tracer=tracer) for tracer in ("fdg", "psma", "dotatate"))
    assert fdg.suv[fdg.mask("brain")].mean() > 4
    for phantom in (psma, dotatate):
        assert phantom.suv[phantom.mask("brain")].mean() < 0.3
        assert phantom.suv[phantom.mask("kidney_left")].mean() > 8
    assert psma.suv[psma.mask("parotid_gland_left")].mean() > 5
    assert dotatate.suv[dotatate.mask("spleen")].mean() > 10
    assert (psma.labels == fdg.labels).mean() > 0.99  # the same patient
    with pytest.raises(ValueError, match="'choline'"):
        still(tracer="choline")


def test_a_measured_patient_lies_within_the_range_of_dotatate():
    """Lu-177 DOTATATE, BenAuer2021: liver 1168, spleen 3848, kidneys 2626 and 2577."""
    drawn = [draw_uptakes(np.random.default_rng(seed), "dotatate") for seed in range(200)]
    for tissue, ratio in (("spleen", 3848 / 1168), ("kidney", 2600 / 1168)):
        ratios = [suv[tissue] / suv["liver"] for suv in drawn]
        assert np.quantile(ratios, 0.1) < ratio < np.quantile(ratios, 0.9)


def test_every_tracer_has_every_tissue():
    assert {frozenset(ranges) for ranges in UPTAKES.values()} == {frozenset(UPTAKES["fdg"])}


def test_a_region_is_a_cube_around_a_lesion():
    phantom = make_phantom(3, voxel_size_mm=(4, 4, 4), lesion_volumes_ml=(5.0, 8.0), options=Options(region_mm=120))
    assert phantom.suv.shape == phantom.labels.shape == (30, 30, 30)
    assert phantom.lesions
    for lesion in phantom.lesions:
        assert (phantom.labels == lesion.value).sum() * 0.064 == pytest.approx(lesion.volume_ml)
    assert {name for name in phantom.label_names.values() if name.startswith("lesion")} == {
        lesion.name for lesion in phantom.lesions
    }
    with pytest.raises(ValueError, match="60 or more, got 20"):
        Options(region_mm=20)


def test_a_region_keeps_its_place_and_its_voxels():
    whole = make_phantom(3, voxel_size_mm=(5, 5, 5), scanner=STILL, lesion_volumes_ml=(5.0,))
    part = make_phantom(
        3, voxel_size_mm=(5, 5, 5), scanner=STILL, lesion_volumes_ml=(5.0,), options=Options(region_mm=100)
    )
    start = np.rint(np.linalg.solve(whole.affine[:3, :3], part.affine[:3, 3] - whole.affine[:3, 3])).astype(int)
    box = tuple(slice(i, i + n) for i, n in zip(start, part.labels.shape, strict=True))
    np.testing.assert_array_equal(whole.labels[box], part.labels)
    np.testing.assert_array_equal(whole.suv[box], part.suv)


def test_a_region_names_no_sliver_of_a_lesion():
    cut = []
    for seed in range(6):
        phantom = make_phantom(seed, voxel_size_mm=(5, 5, 5), options=Options(region_mm=90))
        for lesion in phantom.lesions:
            held = (phantom.labels == lesion.value).sum() * 0.125
            assert held == pytest.approx(lesion.volume_ml)
            cut.append(held / lesion.requested_ml)
        values = {lesion.value for lesion in phantom.lesions}
        assert set(np.unique(phantom.labels[phantom.labels > 100])) == values
    assert 0.4 < min(cut) < 0.9  # some are cut, none to a sliver


def test_a_region_of_fine_voxels_holds_no_more_than_it_may():
    assert region_side_mm(300, (4, 4, 4)) == 300
    assert region_side_mm(300, (1, 1, 1)) == pytest.approx(MOST_VOXELS ** (1 / 3))
    sizes = {draw_voxel_size(np.random.default_rng(seed), fine=True) for seed in range(200)}
    assert {size for size, _ in FINE_VOXELS_MM} <= sizes
    assert not {size for size, _ in FINE_VOXELS_MM} & {
        draw_voxel_size(np.random.default_rng(seed)) for seed in range(200)
    }


def test_a_region_of_a_label_map_is_painted_alone(tmp_path):
    labels = np.zeros((70, 50, 90), dtype=np.uint8)
    labels[10:60, 10:40, 5:85] = 1
    path = tmp_path / "map.nii.gz"
    nib.save(nib.Nifti1Image(labels, np.diag([4, 4, 4, 1.0])), path)
    phantom = make_label_map_phantom(path, {1: "liver"}, 2, voxel_size_mm=(2, 2, 2), options=Options(region_mm=80))
    assert phantom.suv.shape == (40, 40, 40)
    assert phantom.mask("liver").any()


def test_breathing_moves_the_diaphragm_and_nothing_far_from_it():
    height = np.arange(0, 800, 4.0)
    activity = np.zeros((2, 2, 200), dtype=np.float32)
    activity[..., 100] = activity[..., 180] = 1.0  # at 400 and at 720 mm
    moved = breathe(activity, height, (4, 4, 4), 12.0)
    assert moved[0, 0, 180] == 1.0
    sigma = 12.0 / 2.3548 / 4  # voxels
    assert moved[0, 0, 100] == pytest.approx(1 / (sigma * np.sqrt(2 * np.pi)), rel=0.05)
    assert moved[0, 0, 90:111].sum() == pytest.approx(1.0, abs=0.05)
    np.testing.assert_array_equal(breathe(activity, height, (4, 4, 4), 0.0), activity)


def test_a_voxel_that_the_surface_halves_is_half_full():
    shape = np.array([-5.0, -3.0, -1.0, 1.0, 3.0])[:, None, None]  # the surface between voxels 2 and 3, 2 mm apart
    inside = shape < 0
    share = filled_share(shape, inside, np.ones_like(inside), (2.0, 2.0, 2.0))[:, 0, 0]
    # measured from the outermost voxel inside, which the surface is taken to halve
    np.testing.assert_allclose(share, [1.0, 1.0, 0.5, 0.0, 0.0])
    shape[3] = -0.6
    share = filled_share(shape, inside, np.ones_like(inside), (2.0, 2.0, 2.0))[:, 0, 0]
    np.testing.assert_allclose(share, [1.0, 1.0, 0.5, 0.3, 0.0], atol=1e-6)


@pytest.fixture
def pattern(tmp_path):
    """A brain of 140 × 170 × 130 mm at 5 mm: 1 all through, 0.4 in its lower half."""
    voxels = np.zeros((40, 44, 40), dtype=np.float32)
    voxels[6:34, 5:39, 7:33] = 1.0
    voxels[6:34, 5:39, 7:20] = 0.4
    path = tmp_path / "brain.nii.gz"
    nib.save(nib.Nifti1Image(voxels, np.diag([5, 5, 5, 1.0])), path)
    return path


@pytest.mark.parametrize("sign", [1, -1])
def test_a_brain_pattern_is_laid_into_the_brain(pattern, sign):
    x, y, z = (np.arange(-100, 100, 5.0) for _ in range(3))
    canvas = Canvas(sign * x, sign * y, z, spacing_mm=(5, 5, 5), rng=np.random.default_rng(0), bend_mm=0)
    canvas.labels[8:32, 6:36, 8:32] = VALUES["brain"]
    paint_brain_pattern(canvas, pattern, 10.0, np.random.default_rng(0))
    inside = canvas.activity[8:32, 6:36, 8:32]
    assert inside[:, :, 14:].mean() == pytest.approx(10.0, rel=0.05)
    assert 2.5 < inside[:, :, :9].mean() < 5.5  # 0.4 to a power near 1
    assert canvas.activity[canvas.labels == 0].max() == 0


def test_a_cut_brain_keeps_the_pattern_s_own_size(pattern):
    x, y, z = (np.arange(-100, 100, 5.0) for _ in range(3))
    canvas = Canvas(x, y, z[:20], spacing_mm=(5, 5, 5), rng=np.random.default_rng(0), bend_mm=0)
    canvas.labels[8:32, 6:36, 10:20] = VALUES["brain"]  # its lower 50 mm
    paint_brain_pattern(canvas, pattern, 10.0, np.random.default_rng(0))
    assert canvas.activity[8:32, 6:36, 10:20].max() < 5.5  # nowhere above the pattern's lower half


@pytest.fixture
def lesion_map(tmp_path):
    """Lungs of 30 × 20 × 40 voxels of 5 mm, a bar of 4 × 4 × 10 in them, a speck, and a ball outside."""
    values = np.zeros((60, 40, 60), dtype=np.uint8)
    values[15:45, 10:30, 10:50] = 1
    values[20:24, 18:22, 20:30] = 2
    values[40, 20, 40] = 2
    x, y, z = np.ogrid[:60, :40, :60]
    values[(x - 30) ** 2 + (y - 20) ** 2 + (z - 55) ** 2 < 10] = 3
    path = tmp_path / "lesions.nii.gz"
    nib.save(nib.Nifti1Image(values, np.diag([5, 5, 5, 1.0])), path)
    return LesionMap(str(path), (2, 3), lung=1)


def test_real_lesions_have_their_volume_and_place(lesion_map):
    bar, ball = read_lesions(lesion_map)  # the speck of 0.125 mL is left out
    assert bar.volume_ml == pytest.approx(160 * 0.125)
    assert ball.volume_ml > 10
    assert ((bar.place > 0) & (bar.place < 1)).all()
    assert ball.place[2] > 1  # above the lungs
    assert bar.distance[bar.deepest] == bar.distance.min() == -10  # two voxels of 5 mm from its sides
    with pytest.raises(FileNotFoundError, match="absent"):
        read_lesions(LesionMap("absent.nii.gz", (1,)))


def test_a_real_lesion_keeps_its_shape_on_another_grid(lesion_map):
    bar = read_lesions(lesion_map)[0]
    x, y, z = (np.arange(-60, 60, 2.5) for _ in range(3))
    canvas = Canvas(x, -y, z, spacing_mm=(2.5,) * 3, rng=np.random.default_rng(0), bend_mm=0)
    region = (slice(0, 48),) * 3
    shape = bar.implicit(canvas, region, (24, 24, 24), 1.0, np.random.default_rng(0))
    extent = [np.ptp(axis) + 1 for axis in np.nonzero(shape < 0)]
    assert extent[2] > 1.5 * max(extent[:2])  # long from foot to head
    assert (shape < 0).sum() * 2.5**3 / 1000 == pytest.approx(20, rel=0.25)


def test_planted_lesions_have_the_real_volumes(lesion_map):
    options = Options(lesion_shapes=(lesion_map,))
    planted = []
    for seed in range(6):
        phantom = make_phantom(seed, scan_range="eyes_to_thigh", voxel_size_mm=(4, 4, 4), options=options)
        planted += [one for one in phantom.lesions if one.site.startswith("as in a real")]
    assert planted
    for lesion in planted:
        assert 0.6 * 10 < lesion.volume_ml < 20 * 1.55  # ball and bar, 15 % wider or narrower


def test_real_lesion_maps_are_shared_out_by_patient(shared):
    found = {section: find_lesion_maps(shared / "data", section) for section in SECTIONS}
    patients = [{one.path.rsplit("/", 1)[1].rsplit("_", 2)[0] for one in found[section]} for section in SECTIONS]
    assert sum(map(len, patients)) == len(set().union(*patients))
    assert sum(map(len, found.values())) == 91
    lesions = [lesion for one in found["test"][:6] for lesion in read_lesions(one)]
    assert lesions
    assert all(0.2 <= lesion.volume_ml <= 150 for lesion in lesions)


def test_one_patient_s_two_scans_are_in_one_section(tmp_path):
    folder = tmp_path / "lesion_maps" / "lung_fdg"
    folder.mkdir(parents=True)
    for name in ("A-1_20000101_0", "A-1_20000701_0", "B-2_20000101_0", "C_20000101_0"):
        (folder / f"{name}.nii.gz").touch()
    assert [one.path[-21:] for one in find_lesion_maps(tmp_path, "test")] == [
        "A-1_20000101_0.nii.gz",
        "A-1_20000701_0.nii.gz",
    ]
    assert len(find_lesion_maps(tmp_path, "validation")) == 1
    assert len(find_lesion_maps(tmp_path, "training")) == 1


def test_lesion_pieces_are_one_each_with_real_shapes(lesion_map):
    phantom = make_phantom(4, voxel_size_mm=(5, 5, 5), options=Options(lesion_shapes=(lesion_map,)))
    for lesion in phantom.lesions:
        assert ndimage.label(phantom.labels == lesion.value)[1] == 1
