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
