"""The reading page on a real DICOM study in a folder, whose picture stands in the README.

The picture comes into pytest's folder of this test; SEGANYPET_PICTURES=docs/images puts it there as well.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
from chromium import chromium_page
from reading_page import ReadingPage

from seganypet.clicks import centre_click
from seganypet.clicks.reading import read_prompts
from seganypet.pet import measure_uptake, read_pet


def test_a_real_sarcoma_is_clicked_in_a_folder(shared, reading_server, segmenter, tmp_path):
    volume = read_pet(shared / "data" / "sts_001" / "dicom")
    truth = np.asarray(nib.load(shared / "data" / "sts_001" / "tumour_gtv_mass.nii.gz").dataobj) > 0
    middle = np.array([round(n) for n in centre_click(np.zeros_like(truth), truth, volume.spacing_mm).ijk])
    with chromium_page(1600, 900) as browser:
        page = ReadingPage(browser, f"{reading_server.url}/read/sts_001")
        assert "STS_001" in browser.inner_text("#patient")
        assert "2000-09-07" in browser.inner_text("#patient")
        assert "FDG" in browser.inner_text("#patient")
        page.click(0, middle)
        page.answered(1)
        second = centre_click(page.mask(volume.shape), truth, volume.spacing_mm)
        page.click(0, [round(n) for n in second.ijk], button="left" if second.positive else "right")
        page.answered(2)
        found = page.mask(volume.shape)
        assert np.array_equal(found, segmenter.segment(volume, read_prompts(page.prompts())))
        assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.75
        wanted = measure_uptake(volume, found)
        assert page.numbers()["volume_ml"] == round(wanted.volume_ml, 2)
        assert page.numbers()["suv_max"] == round(wanted.suv_max, 2)
        name = browser.locator("#findings input.name")
        name.fill("sarcoma, left thigh")
        name.press("Enter")
        heart = np.where(np.arange(volume.shape[2]) > volume.shape[2] * 0.55, volume.voxels, 0)
        heart[:, :, int(volume.shape[2] * 0.85) :] = 0
        page.key("n")
        page.key("4")
        page.click(1, np.unravel_index(int(heart.argmax()), heart.shape))
        page.answered(1)
        name = browser.locator("#findings input.name").nth(1)
        name.fill("heart, 41 %")
        name.press("Enter")
        page.key("1")
        browser.fill("#reader", "Dr. Reader")
        browser.locator("#findings tbody tr").first.click(position={"x": 330, "y": 8})
        page.look_at(middle)
        browser.mouse.move(*page.place(0, middle + np.array([6, 2, 0])))
        page.frame()
        picture = tmp_path / "reading_page.png"
        browser.screenshot(path=picture)
        assert page.errors == []
    folder = os.environ.get("SEGANYPET_PICTURES")
    if folder:
        shutil.copyfile(picture, Path(folder) / picture.name)
