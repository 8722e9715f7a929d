"""OHIF on a real scan in a plain folder, implicit VR: its slices with the server's SUV, then its saved label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import requests
from chromium import chromium_page
from ohif import Ohif
from running_server import start_server

from seganypet.pet import read_pet

pytestmark = pytest.mark.slow
SEG_SLICES = """() => {
  const all = window.cornerstoneTools.segmentation.state.getSegmentations();
  return all.flatMap(({representationData}) => representationData.Labelmap.imageIds.map((id) => {
    let count = 0;
    window.cornerstone.cache.getImage(id).voxelManager.getScalarData().forEach((value) => { count += value ? 1 : 0; });
    return count;
  }));
}"""


@pytest.fixture(scope="module")
def sts_server(namespace, shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ohif_sts")
    (folder / "studies").mkdir()
    (folder / "studies" / "sts_001").symlink_to((shared / "data" / "sts_001" / "dicom").resolve())
    with namespace.entered():
        yield from start_server(folder, folder / "studies")


def test_a_real_study_opens_from_a_folder_and_its_saved_label_is_shown(sts_server, tmp_path):
    url = sts_server.url
    volume = read_pet(Path(sts_server.studies) / "sts_001")
    hottest = tuple(int(index) for index in np.unravel_index(np.argmax(volume.voxels), volume.shape))
    world = (volume.affine @ np.array([*hottest, 1.0]))[:3] * [-1, -1, 1]
    with chromium_page() as page:
        page.goto(url)
        page.locator('a[href*="ohif/monai-label"]').first.click()
        ohif = Ohif(page)
        ohif.wait_for_images()
        shown = ohif.shown(world)
        assert (shown["dimensions"], tuple(shown["ijk"])) == (list(volume.shape), hottest)
        assert shown["value"] == pytest.approx(float(volume.voxels[hottest]), rel=1e-3)
        page.screenshot(path=tmp_path / "slices.png")
        click = {"foreground": [list(hottest)], "background": [], "label": "bladder", "save_label": True}
        form = {"params": json.dumps({**click, "label_tag": "final"})}
        answer = requests.post(f"{url}/infer/seganypet?image=sts_001&output=json", data=form, timeout=120)
        assert answer.status_code == 200, answer.text
        (study,) = requests.get(f"{url}/proxy/dicom/qido/studies", timeout=60).json()
        assert study["00080061"]["Value"] == ["PT", "SEG"]
        page.goto(f"{url}/ohif/viewer?StudyInstanceUIDs={study['0020000D']['Value'][0]}")
        page.wait_for_selector("canvas.cornerstone-canvas", timeout=120_000)
        ohif.hide_notice()
        page.locator('[data-cy="study-browser-thumbnail-no-image"]').first.dblclick(timeout=60_000)
        page.get_by_role("button", name="Yes").click(timeout=60_000)
        page.wait_for_function(
            "() => window.cornerstoneTools.segmentation.state.getSegmentations().length > 0", timeout=120_000
        )
        page.wait_for_timeout(2000)
        counts = page.evaluate(SEG_SLICES)
        page.screenshot(path=tmp_path / "seg.png")
    final = sts_server.client.datastore()["objects"]["sts_001"]["labels"]["final"]["info"]
    (target,) = final["targets"]
    voxels = round(target["volume_ml"] * 1000 / float(np.prod(volume.spacing_mm)))
    assert sum(counts) == voxels > 0
