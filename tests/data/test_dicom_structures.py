"""RTSTRUCT and SEG on a PET's grid."""

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset

from seganypet.data.preparation import check_studies, find_dicom
from seganypet.data.preparation.dicom_folder import without_overlap
from seganypet.data.preparation.rtstruct import rtstruct_masks
from seganypet.pet import PetVolume, read_pet, write_pet_dicom_series, write_seg

AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])  # as DICOM's axes lie in RAS: voxel (i, j, k) at LPS (2i, 2j, 3k)


def volume(shape=(10, 10, 6)) -> PetVolume:
    return PetVolume(np.ones(shape, np.float32), AFFINE)


def contour(i: tuple[float, float], j: tuple[float, float], k: float, tilt: float = 0.0) -> Dataset:
    """A rectangle whose sides lie at fractional voxel indices."""
    corners = [(i[0], j[0], k), (i[1], j[0], k), (i[1], j[1], k + tilt), (i[0], j[1], k + tilt)]
    data = Dataset()
    data.ContourGeometricType = "CLOSED_PLANAR"
    data.ContourData = [value for x, y, z in corners for value in (2 * x, 2 * y, 3 * z)]
    return data


def structures(**contours: list[Dataset]) -> Dataset:
    data = Dataset()
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for number, (name, drawn) in enumerate(contours.items(), start=1):
        roi, outline = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        outline.ReferencedROINumber, outline.ContourSequence = number, drawn
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.append(outline)
    return data


def test_voxels_whose_centres_lie_inside():
    masks = rtstruct_masks(structures(tumour=[contour((1.5, 4.5), (2.5, 3.5), 2)]), volume(), "file")[0]
    assert np.argwhere(masks["tumour"]).tolist() == [[2, 3, 2], [3, 3, 2], [4, 3, 2]]


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_a_contour_within_a_contour_is_a_hole(kind):
    ring = [contour((0.5, 5.5), (0.5, 5.5), 1), contour((2.5, 3.5), (2.5, 3.5), 1)]
    for one in ring:
        one.ContourGeometricType = kind
    mask = rtstruct_masks(structures(ring=ring), volume(), "file")[0]["ring"]
    assert mask.sum() == 25 - 1
    assert not mask[3, 3, 1]


def test_a_hole_joined_by_a_keyhole_is_a_hole():
    path = [(0, 0), (5, 0), (5, 5), (0, 5), (0, 3), (2, 3), (3, 3), (3, 2), (2, 2), (2, 3), (0, 3)]
    ring = contour((0, 1), (0, 1), 1)
    ring.ContourData = [value for i, j in path for value in (2 * i + 1, 2 * j + 1, 3)]
    mask = rtstruct_masks(structures(ring=[ring]), volume(), "file")[0]["ring"]
    assert (mask.sum(), mask[3, 3, 1]) == (25 - 1, False)


@pytest.mark.parametrize(
    "corners",
    [(0, 1, 2, 3), (2, 3, 0, 1), (3, 2, 1, 0), (0, 1, 2, 3, 0)],
    ids=["as it is", "from another corner", "the other way", "closed"],
)
def test_a_contour_that_is_there_twice_cuts_no_hole_and_is_named(corners):
    drawn = [contour((1.5, 4.5), (1.5, 4.5), k) for k in (1, 2, 3)]
    again = contour((1.5, 4.5), (1.5, 4.5), 2)
    again.ContourData = np.reshape(again.ContourData, (-1, 3))[list(corners)].ravel().tolist()
    masks, problems = rtstruct_masks(structures(organ=[*drawn, again]), volume(), "file")
    assert [int(masks["organ"][:, :, k].sum()) for k in range(6)] == [0, 9, 9, 9, 0, 0]
    assert problems == ["file: 1 contours of 'organ' are there more than once, and were taken once"]


@pytest.mark.parametrize("spacing", [1, 2])
def test_a_part_whose_contours_lie_a_hair_off_is_kept(spacing):
    """And does not make contours seem to be drawn a hair apart."""
    heights = (0, spacing, 2 * spacing)
    first = [contour((1.5, 4.5), (1.5, 4.5), k) for k in heights]
    second = [contour((5.5, 7.5), (1.5, 3.5), k + 0.03) for k in heights]
    mask = rtstruct_masks(structures(organ=first + second), volume(), "file")[0]["organ"]
    assert [int(mask[:, :, k].sum()) for k in range(2 * spacing + 1)] == [13] * (2 * spacing + 1)


def test_slices_between_sparse_contours_are_filled():
    drawn = [contour((1.5, 4.5), (1.5, 4.5), 1), contour((1.5, 3.5), (1.5, 3.5), 3)]
    mask = rtstruct_masks(structures(organ=drawn), volume(), "file")[0]["organ"]
    assert [int(mask[:, :, k].sum()) for k in range(6)] == [0, 9, 9, 4, 0, 0]


def test_two_masses_far_apart_stay_apart():
    drawn = [contour((1.5, 4.5), (1.5, 4.5), k) for k in (0, 1, 4, 5)]
    mask = rtstruct_masks(structures(masses=drawn), volume(), "file")[0]["masses"]
    assert [int(mask[:, :, k].sum()) for k in range(6)] == [9, 9, 0, 0, 9, 9]


@pytest.mark.parametrize(
    ("planes", "filled"),
    [
        ((0, 5), [9, 0, 0, 0, 0, 9]),  # two lesions of one slice each
        ((0, 1, 5), [9, 9, 0, 0, 0, 9]),
        ((0, 2, 4), [9, 9, 9, 9, 9, 0]),  # every second slice is drawn
        ((0.4, 1.9, 3.4), [9, 9, 9, 9, 9, 0]),  # 1.5 slices apart: half of that, 0.75, beyond 3.4 ends at 4.15
        ((3,), [0, 0, 0, 9, 0, 0]),
        ((0.5, 1.5, 2.5), [9, 9, 9, 0, 0, 0]),  # halfway between slices: three contours are three slices
        ((1.5,), [0, 9, 0, 0, 0, 0]),
    ],
)
def test_only_gaps_that_the_contours_spacing_explains_are_filled(planes, filled):
    drawn = [contour((1.5, 4.5), (1.5, 4.5), k) for k in planes]
    mask = rtstruct_masks(structures(nodes=drawn), volume(), "file")[0]["nodes"]
    assert [int(mask[:, :, k].sum()) for k in range(6)] == filled


def test_odd_items_are_named_and_the_others_taken():
    good = contour((1.5, 4.5), (1.5, 4.5), 1)
    without, empty, line, text = (contour((1.5, 4.5), (1.5, 4.5), 1) for _ in range(4))
    del without.ContourData
    empty.ContourData = None
    line.ContourData = line.ContourData[:6]
    del text.ContourGeometricType  # as good as closed
    data = structures(tumour=[good], a=[without], b=[empty], c=[line], d=[text], e=[])
    del data.StructureSetROISequence[4].ROIName
    del data.ROIContourSequence[5].ContourSequence
    masks, problems = rtstruct_masks(data, volume(), "rs.dcm")
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"tumour": 9, "ROI 5": 9}
    assert problems == [
        "rs.dcm: a contour of 'a' has no ContourData (3006,0050)",
        "rs.dcm: a contour of 'b' has no ContourData (3006,0050)",
        "rs.dcm: a contour of 'c' has 2 points, which enclose nothing",
    ]


def test_two_rois_of_one_name_stay_two():
    data = structures(gtv=[contour((1.5, 4.5), (1.5, 4.5), 1)], other=[contour((1.5, 3.5), (1.5, 3.5), 2)])
    data.StructureSetROISequence[1].ROIName = "gtv"
    masks, _ = rtstruct_masks(data, volume(), "file")
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"gtv": 9, "gtv (2)": 4}


def test_tilted_contours_are_named():
    tilted = structures(tumour=[contour((1.5, 4.5), (1.5, 4.5), 1, tilt=1)])
    masks, problems = rtstruct_masks(tilted, volume(), "file")
    assert masks == {}
    assert problems == ["file: a contour of 'tumour' does not lie in a slice of the PET"]


def test_overlapping_structures_get_maps_of_their_own():
    def box(low: int, high: int) -> np.ndarray:
        return np.isin(np.arange(10), range(low, high))

    assert without_overlap({"a": box(0, 4), "b": box(3, 6), "c": box(6, 8), "d": box(7, 9)}) == [["a", "c"], ["b", "d"]]


def test_a_seg_comes_back_as_it_was_drawn(tmp_path):
    random = np.random.default_rng(0)
    affine = np.diag([-4.0, -4.0, 3.0, 1.0])
    write_pet_dicom_series(random.uniform(0.5, 5, (12, 10, 8)).astype(np.float32), affine, tmp_path / "in" / "pet")
    scan = read_pet(tmp_path / "in" / "pet")
    masks = {"liver": np.zeros(scan.shape, bool), "lesion": np.zeros(scan.shape, bool)}
    masks["liver"][2:6, 3:7, 1:5] = True
    masks["lesion"][4:8, 5:9, 2:4] = True  # overlaps the liver
    write_seg(masks, scan, tmp_path / "in" / "seg.dcm")
    found = find_dicom(tmp_path / "in", tmp_path / "out")
    assert check_studies(found, progress=False) == []
    assert [study.entry.label_names for study in found.studies] == [{1: "liver"}, {1: "lesion"}]
    for study in found.studies:
        label = nib.load(study.entry.label)
        assert np.array_equal(np.asarray(label.dataobj) > 0, masks[study.entry.label_names[1]])
        np.testing.assert_allclose(label.affine, scan.affine, atol=1e-4)
        np.testing.assert_allclose(nib.load(study.entry.image).get_fdata(), scan.suv, rtol=1e-5)


def test_pet_without_structures_and_structures_without_pet_are_named(tmp_path):
    voxels = np.ones((8, 8, 4), np.float32)
    write_pet_dicom_series(voxels, AFFINE, tmp_path / "in" / "pet")
    write_pet_dicom_series(voxels, AFFINE, tmp_path / "other" / "pet")
    other = read_pet(tmp_path / "other" / "pet")
    write_seg({"liver": np.ones(voxels.shape, bool)}, other, tmp_path / "in" / "seg.dcm")
    found = find_dicom(tmp_path / "in", tmp_path / "out")
    texts = [problem.text for problem in found.problems]
    assert found.studies == []
    assert any("no PET series here" in text for text in texts)
    assert any("has no RTSTRUCT or SEG" in text for text in texts)


@pytest.mark.slow
def test_real_contours_have_their_volume(shared, tmp_path):
    found = find_dicom(shared / "data" / "sts_001", tmp_path, structures=["GTV_Mass"])
    assert check_studies(found, progress=False) == []
    (study,) = found.studies
    ours = np.asarray(nib.load(study.entry.label).dataobj) > 0
    theirs = np.asarray(nib.load(shared / "data" / "sts_001" / "tumour_gtv_mass.nii.gz").dataobj) > 0
    voxel_ml = abs(np.linalg.det(nib.load(study.entry.label).affine[:3, :3])) / 1000
    assert ours.sum() * voxel_ml == pytest.approx(366.1, abs=0.1)
    assert np.array_equal(ours, theirs)


def test_another_real_contour_is_read(shared, tmp_path):
    found = find_dicom(shared / "data" / "gml_002", tmp_path)
    assert check_studies(found, progress=False) == []
    assert [study.entry.label_names for study in found.studies] == [{1: "GTV_Mass_PET"}]


def test_structure_files_of_one_name_keep_their_label_maps_apart(tmp_path):
    affine = np.diag([-4.0, -4.0, 3.0, 1.0])
    write_pet_dicom_series(np.full((12, 10, 8), 2.0, np.float32), affine, tmp_path / "in" / "pet")
    scan = read_pet(tmp_path / "in" / "pet")
    for size, name in enumerate(("liver", "lesion"), start=2):
        mask = np.zeros(scan.shape, bool)
        mask[2 : 2 + size, 2:4, 2:4] = True
        write_seg({name: mask}, scan, tmp_path / "in" / name / "1-1.dcm")
    found = find_dicom(tmp_path / "in", tmp_path / "out")
    drawn = {one.entry.label_names[1]: int((nib.load(one.entry.label).get_fdata() > 0).sum()) for one in found.studies}
    assert drawn == {"liver": 8, "lesion": 12}
