"""A whole-body phantom clicked in OHIF, as docs/viewers.md shows it.

The pictures come into pytest's folder of this test; SEGANYPET_PICTURES=docs/images puts them there as well.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from chromium import chromium_page
from ohif import Ohif

from seganypet.clicks import centre_click
from seganypet.data import make_phantom
from seganypet.pet import SyntheticPatient, SyntheticScan, write_pet_dicom_series

pytestmark = pytest.mark.slow
PATIENT = SyntheticPatient(name="Phantom^Whole body", patient_id="PHANTOM-28", sex="F")
SCAN = SyntheticScan(description="PET AC whole body (phantom)", seed=28)
CLICKS = {"left kidney": 2, "urinary bladder": 1, "lesion": 1}


def keep(picture: Path) -> None:
    folder = os.environ.get("SEGANYPET_PICTURES")
    if folder:
        shutil.copyfile(picture, Path(folder) / picture.name)


def test_three_structures_of_a_whole_body_are_clicked_and_saved(archive_server, orthanc, tmp_path):
    phantom = make_phantom(28)
    suv = np.clip(phantom.suv, 0, None)
    files = write_pet_dicom_series(suv, phantom.affine, tmp_path / "pet", patient=PATIENT, scan=SCAN)
    orthanc.store(files)
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    requests.get(f"{archive_server.url}/datastore/image/info?image={header.SeriesInstanceUID}", timeout=60)
    lesions = [name for name in phantom.label_names.values() if name.startswith("lesion")]
    lesion = sorted(lesions, key=lambda name: -int(phantom.mask(name).sum()))[1]
    names = {"left kidney": "kidney_left", "urinary bladder": "urinary_bladder", "lesion": lesion}
    with chromium_page() as page:
        page.goto(f"{archive_server.url}/?q=whole+body")
        page.locator(f'a[href*="{header.StudyInstanceUID}"]').first.click()
        ohif = Ohif(page)
        ohif.wait_for_images()
        ohif.connect()
        for row, clicks in CLICKS.items():
            truth = phantom.mask(names[row])
            found = np.zeros_like(truth)
            ohif.select_row(row)
            for _ in range(clicks):
                click = centre_click(found, truth)
                ohif.click_at((phantom.affine @ np.array([*click.ijk, 1.0]))[:3] * [-1, -1, 1])
                status, sent = ohif.run()
                assert status == 200
                assert [*click.ijk] in sent["foreground"] + sent["background"]
                flat = np.zeros(truth.size, bool)
                flat[ohif.segmented()] = True
                found = flat.reshape(truth.shape, order="F")
                if not click.positive:
                    break  # it would belong into OHIF's background row
            assert found[tuple(int(index) for index in centre_click(truth & False, truth).ijk)], row
            if row == "left kidney":
                page.wait_for_timeout(5000)  # until the notice of success has gone
                page.screenshot(path=tmp_path / "ohif.png")
            start = page.context.new_page()
            start.goto(f"{archive_server.url}/?q=whole+body")
            fields = start.locator("tr", has_text="not saved").filter(has_text="target")
            fields.locator('input[name="name"]').fill(row)
            fields.locator('input[name="reader"]').fill("Dr. Reader")
            if row != "lesion":
                fields.get_by_role("button", name="Save as final").click()
                start.wait_for_selector("text=is saved as final")
            else:
                start.screenshot(path=tmp_path / "start_page.png", clip={"x": 0, "y": 0, "width": 1600, "height": 640})
            start.close()
    for name in ("ohif.png", "start_page.png"):
        keep(tmp_path / name)
    orthanc.delete_series(str(header.SeriesInstanceUID))
