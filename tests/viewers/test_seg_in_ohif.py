"""A final label in the archive opens in OHIF, on the voxels it was saved on."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest
from chromium import chromium_page
from oblique_study import AFFINE, LESION, SHAPE, study_suv
from ohif import Ohif

pytestmark = pytest.mark.slow
LOADED = """() => {
  const [segmentation] = window.cornerstoneTools.segmentation.state.getSegmentations();
  const {imageIds, referencedImageIds} = segmentation.representationData.Labelmap;
  return imageIds.map((id, index) => {
    const found = [];
    window.cornerstone.cache.getImage(id).voxelManager.getScalarData().forEach(
      (value, place) => { if (value) { found.push([place, value]); } });
    const plane = window.cornerstone.metaData.get("imagePlaneModule", referencedImageIds[index]);
    return {position: Array.from(plane.imagePositionPatient), found};
  });
}"""


def test_a_saved_label_opens_in_ohif_voxel_by_voxel(archive_server, pet_series, orthanc, study_files, tmp_path):
    labels = (study_suv() > 8.5).astype(np.uint8)
    labels[5:8, 20, 3] = 2
    nib.save(nib.Nifti1Image(labels, AFFINE), tmp_path / "label.nii.gz")
    said = {"label_info": [{"name": "lesion", "idx": 1}, {"name": "liver", "idx": 2}]}
    for uid in orthanc.series("SEG"):
        orthanc.delete_series(uid)
    archive_server.client.save_label(pet_series, str(tmp_path / "label.nii.gz"), tag="final", params=said)
    study = pydicom.dcmread(study_files[0], stop_before_pixels=True).StudyInstanceUID
    with chromium_page() as page:
        page.goto(f"{archive_server.url}/ohif/viewer?StudyInstanceUIDs={study}")
        page.wait_for_selector("canvas.cornerstone-canvas", timeout=120_000)
        Ohif(page).hide_notice()
        page.locator('[data-cy="study-browser-thumbnail-no-image"]').first.dblclick(timeout=60_000)
        page.get_by_role("button", name="Yes").click(timeout=60_000)
        page.wait_for_function(
            "() => window.cornerstoneTools.segmentation.state.getSegmentations().length > 0", timeout=60_000
        )
        page.wait_for_timeout(2000)
        slices = page.evaluate(LOADED)
        assert page.get_by_text("RecommendedDisplayCIELabValue").count() == 0, "the segments have colours of their own"
        page.screenshot(path=tmp_path / "seg.png")
    loaded = np.zeros(SHAPE, np.uint8)
    for one in slices:
        position_ras = np.array([*one["position"], 1.0]) * [-1, -1, 1, 1]
        k = round((np.linalg.inv(AFFINE) @ position_ras)[2])
        for place, value in one["found"]:
            loaded[place % SHAPE[0], place // SHAPE[0], k] = value
    assert loaded[LESION] == 1
    np.testing.assert_array_equal(loaded, labels)
