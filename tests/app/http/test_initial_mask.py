import gzip

import nibabel as nib
import numpy as np


def nifti(mask, affine):
    return gzip.compress(nib.Nifti1Image(mask.astype(np.uint8), affine).to_bytes(), mtime=0)


def test_a_label_sent_along_is_the_mask_that_clicks_refine(server):
    study = nib.load(server.studies / "block.nii.gz")
    mask = np.zeros(study.shape, bool)
    mask[1:3, 1:4, 1:3] = True
    files = {"label": ("label.nii.gz", nifti(mask, study.affine))}
    answer = server.click(
        "image=block&output=image", {"foreground": [], "background": []} | {"result_extension": ".nii.gz"}, **files
    )
    assert answer.status_code == 200, answer.text
    back = nib.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    assert np.array_equal(np.asarray(back.dataobj) > 0, mask)
    clicked = server.click("image=block&output=image", {"foreground": [[2, 2, 2]], "background": []}, **files)
    assert np.array_equal(np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(clicked.content)).dataobj) > 0, mask)


def test_a_label_of_another_grid_or_kind_is_refused(server):
    study = nib.load(server.studies / "block.nii.gz")
    small = nifti(np.ones((2, 2, 2)), study.affine)
    for name, content in (("label.nii.gz", small), ("label.txt", b"x"), ("label.nii.gz", b"x")):
        answer = server.click("image=block&output=json", {"foreground": [[2, 2, 2]]}, label=(name, content))
        assert answer.status_code == 400, answer.text
        assert "label" in answer.json()["detail"]
    assert server.click("image=block&output=json", {"foreground": [[2, 2, 2]]}).status_code == 200


def voxels_of(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(answer.content)).dataobj) > 0


def test_prompts_in_one_ordered_list(server):
    study = nib.load(server.studies / "block.nii.gz")
    mask = np.zeros(study.shape, bool)
    mask[1:3, 1:4, 1:3] = True
    start = {"type": "mask", "voxels": np.argwhere(mask).tolist()}
    out = {"type": "scribble", "voxels": [[1, 1, 1], [1, 2, 1]], "positive": False}
    back = {"type": "scribble", "voxels": [[1, 2, 1]]}
    assert np.array_equal(voxels_of(server.click("image=block&output=image", {"prompts": [start]})), mask)
    out_then_back = voxels_of(server.click("image=block&output=image", {"prompts": [start, out, back]}))
    back_then_out = voxels_of(server.click("image=block&output=image", {"prompts": [start, back, out]}))
    assert [bool(one[1, 2, 1]) for one in (out_then_back, back_then_out)] == [True, False]
    # a click says the same in either form
    viewer = voxels_of(server.click("image=block&output=image", {"foreground": [[2, 2, 2]], "background": [[0, 0, 0]]}))
    listed = {"prompts": [{"ijk": [2, 2, 2]}, {"type": "click", "ijk": [0, 0, 0], "positive": False}]}
    assert np.array_equal(voxels_of(server.click("image=block&output=image", listed)), viewer)
    box = {"type": "box", "ranges": [[1, 4], [1, 4], [1, 3]], "limit": True}
    boxed = voxels_of(server.click("image=block&output=image", {"prompts": [box]}))
    assert boxed.any()
    boxed[1:4, 1:4, 1:3] = False
    assert not boxed.any()


def test_a_prompt_that_is_none_is_named(server):
    study = nib.load(server.studies / "block.nii.gz")
    for prompts, words in (
        ("x", "prompts must be a list"),
        ([{"type": "knot"}], "one of click, box"),
        ([{"type": "box", "ranges": [[0, 99], [0, 2], [0, 2]]}], f"leaves the volume of {list(study.shape)} voxels"),
        ([{"ijk": [99, 0, 0]}], "lies outside the volume"),
        (["tests/conftest.py"], "a click needs three voxel indices"),
    ):
        answer = server.click("image=block&output=json", {"prompts": prompts})
        assert answer.status_code == 400, answer.text
        assert words in answer.json()["detail"]
    both = server.click("image=block&output=json", {"prompts": [], "foreground": [[2, 2, 2]]})
    assert both.status_code == 400
    assert "not both" in both.json()["detail"]
