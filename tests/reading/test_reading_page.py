"""The reading page in a real browser: what is where, clicks, undo, tools, and what is kept."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from reading_studies import BLOCKS, SHAPE, VALUES, coded

from seganypet.clicks.reading import read_prompts
from seganypet.evaluation.threshold_region import threshold_region
from seganypet.pet import measure_uptake, read_pet

BALL = (25, 37, 30)  # the middle of the larger hot ball of `ann`, [i, j, k]
SMALL_BALL = (50, 30, 25)


def grey_of(value: float) -> float:
    return 255 - 255 * value / 7


def middle_of(pixels: np.ndarray, value: float) -> tuple[float, float]:
    """Where in a view the pixels of an SUV lie on average: right of the middle and below it are positive."""
    found = np.argwhere((np.abs(pixels.astype(float) - grey_of(value)) <= 2).all(-1))
    assert len(found) > 50, value
    down, right = found.mean(0) - (np.array(pixels.shape[:2]) - 1) / 2
    return right, down


def test_the_patients_right_is_at_the_left_his_front_and_his_head_on_top(reading):
    page = reading("coded")
    page.look_at(BLOCKS["middle"])
    axial, coronal, sagittal = (page.pixels(name) for name in ("axial", "coronal", "sagittal"))
    for view in (axial, coronal, sagittal):
        right, down = middle_of(view, VALUES["middle"])
        assert abs(right) < 12
        assert abs(down) < 12
    assert middle_of(axial, VALUES["right"])[0] < -60
    assert middle_of(coronal, VALUES["right"])[0] < -60
    assert middle_of(axial, VALUES["front"])[1] < -60
    assert middle_of(sagittal, VALUES["front"])[0] < -60
    assert middle_of(coronal, VALUES["head"])[1] < -60
    assert middle_of(sagittal, VALUES["head"])[1] < -60
    letters = page.page.evaluate("() => seganypet.views.map(view => view.plane.sides.join(''))")
    assert letters == ["RLAP", "RLSI", "APSI"]
    mip = page.pixels("mip")
    assert middle_of(mip, VALUES["right"])[0] < -25
    assert middle_of(mip, VALUES["head"])[1] < -25


def test_a_click_reaches_the_voxel_under_the_pointer(reading):
    values = coded()
    for view, names in ((0, ("right", "front")), (1, ("right", "head")), (2, ("front", "head"))):
        for name in names:
            page = reading("coded")
            page.look_at(BLOCKS["middle"])
            with page.page.expect_request("**/infer/**") as sent:
                page.page.mouse.click(*page.place(view, BLOCKS[name]))
            (prompt,) = json.loads(dict(sent.value.post_data_json)["params"])["prompts"]
            assert values[tuple(prompt["ijk"])] == VALUES[name], (view, name)
            page.answered(1)
            assert page.mask(SHAPE)[tuple(prompt["ijk"])]
    page.look_at(BLOCKS["middle"])
    page.page.mouse.move(*[n + 1 for n in page.place(0, BLOCKS["middle"])])
    assert page.page.inner_text("#under").startswith("SUV 6.00 at voxel 20, 18, 1")


def test_clicks_are_answered_as_the_segmenter_answers_them_and_taken_back(reading, reading_server, segmenter):
    volume = read_pet(Path(reading_server.studies) / "ann")
    page = reading("ann")
    assert "Doe, Ann · PET-77" in page.page.inner_text("#patient")
    assert "Not a medical device" in page.page.inner_text("header")
    assert page.page.inner_text("#suv-source").startswith("SUV (body weight):")
    masks = []
    for count, (ijk, how) in enumerate(
        ((BALL, {}), ((27, 38, 30), {}), ((32, 37, 30), {"button": "right"}), ((25, 43, 30), {"modifiers": ["Alt"]})), 1
    ):
        page.look_at(BALL)
        modifiers = how.pop("modifiers", [])
        for name in modifiers:
            page.page.keyboard.down(name)
        page.page.mouse.click(*page.place(0, ijk), **how)
        for name in modifiers:
            page.page.keyboard.up(name)
        page.answered(count)
        prompts = read_prompts(page.prompts())
        assert [prompt.positive for prompt in prompts] == [True, True, False, False][:count]
        masks.append(segmenter.segment(volume, prompts))
        assert np.array_equal(page.mask(volume.shape), masks[-1])
        wanted = measure_uptake(volume, masks[-1])
        found = page.numbers()
        for key in ("volume_ml", "suv_max", "suv_mean", "suv_peak", "tlg"):
            assert found[key] == pytest.approx(getattr(wanted, key), abs=0.06 if key == "tlg" else 0.006)
    # painted where the mask is, and not elsewhere; the crosshair leaves its middle free
    page.look_at(SMALL_BALL)
    colour = page.page.evaluate("() => seganypet.findings.active.colour")
    page.look_at(np.argwhere(masks[-1]).mean(0).round())
    tinted = (np.abs(page.pixels("axial").astype(int) - colour) <= 3).all(-1).sum()
    assert tinted > 20  # the outline
    for count in (3, 2, 1):
        page.key("Control+z")
        page.answered(count)
        assert np.array_equal(page.mask(volume.shape), masks[count - 1])
    page.key("Control+z")
    page.key("Control+z")
    assert page.page.locator("#findings tbody tr").count() == 0
    for _ in range(5):
        page.key("Control+Shift+Z")
    page.answered(4)
    assert np.array_equal(page.mask(volume.shape), masks[-1])
    page.key("Backspace")
    page.answered(3)
    assert np.array_equal(page.mask(volume.shape), masks[2])
    page.look_at(BALL)
    page.page.keyboard.down("Control")
    page.page.mouse.click(*page.place(0, (27, 38, 30)))  # on that click's mark: it goes, the others stay
    page.page.keyboard.up("Control")
    page.answered(2)
    assert [prompt["ijk"] for prompt in page.prompts()] == [list(BALL), [32, 37, 30]]


def test_a_background_click_without_a_finding_is_explained(reading):
    page = reading("ann")
    page.look_at(BALL)
    page.page.mouse.click(*page.place(0, BALL), button="right")
    assert "click on the uptake first" in page.said()
    assert page.page.locator("#findings tbody tr").count() == 0


def test_threshold_brush_and_eraser(reading, reading_server):
    volume = read_pet(Path(reading_server.studies) / "ann")
    page = reading("ann")
    page.key("4")
    page.click(0, BALL)
    page.answered(1)
    (click,) = read_prompts([list(BALL)])
    region = threshold_region(volume, [click])
    assert np.array_equal(page.mask(volume.shape), region)
    page.key("b")
    place = page.place(0, BALL)
    page.page.mouse.move(*place)
    page.page.mouse.down()
    page.page.mouse.move(place[0] + 60, place[1], steps=4)
    page.page.mouse.up()
    page.answered(1)
    painted = page.mask(volume.shape)
    assert (painted & region).sum() == region.sum()
    assert painted.sum() > region.sum() + 20
    changed = np.argwhere(painted & ~region)
    assert set(changed[:, 2]) == {BALL[2]}  # in the plane of the view alone
    page.key("e")
    page.page.mouse.click(*place)
    page.answered(1)
    erased = page.mask(volume.shape)
    assert not erased[BALL]
    assert not (erased & ~painted).any()
    page.key("Control+z")
    page.answered(1)
    assert np.array_equal(page.mask(volume.shape), painted)
    # clicks go on from the edited mask
    page.key("1")
    page.click(0, SMALL_BALL)
    page.answered(2)
    assert page.mask(volume.shape)[SMALL_BALL]
    assert (page.mask(volume.shape) & painted).sum() == painted.sum()


def test_fixed_thresholds_say_when_nothing_reaches_them(reading):
    page = reading("ann")
    page.page.click("[data-tool='suv4']")
    page.click(0, (40, 50, 45))
    page.wait_for_word("reaches that value")
    page = reading("becquerel")
    assert "No SUV" in page.page.inner_text("#suv-source")
    page.page.click("[data-tool='suv4']")
    page.click(0, BLOCKS["middle"])
    page.wait_for_word("says nothing here")


def test_the_total_counts_a_voxel_of_two_findings_once(reading):
    page = reading("ann")
    page.page.click("[data-tool='suv2.5']")
    page.click(0, BALL)
    page.answered(1)
    page.key("n")
    page.page.click("[data-tool='suv4']")
    page.click(0, BALL)
    page.answered(1)
    page.key("n")
    page.page.click("[data-tool='suv4']")
    page.click(0, SMALL_BALL)
    page.answered(1)
    around, within, elsewhere = (page.numbers(row) for row in range(3))
    assert within["volume_ml"] > 1
    total = page.page.locator("#findings tfoot td").all_inner_texts()
    assert total[1] == "3 in all"
    assert float(total[2]) == pytest.approx(around["volume_ml"] + elsewhere["volume_ml"], abs=0.02)
    assert float(total[6]) == pytest.approx(around["tlg"] + elsewhere["tlg"], abs=0.2)


def test_findings_are_saved_shown_again_deleted_brought_back_and_exported(reading, reading_server, clean, tmp_path):
    volume = read_pet(clean / "ann")
    page = reading("ann")
    page.click(0, BALL)
    page.answered(1)
    first = page.mask(volume.shape)
    page.key("n")
    page.click(0, SMALL_BALL)
    page.answered(1)
    name = page.page.locator("#findings input.name").nth(1)
    name.fill("node, left")
    name.press("Enter")
    second = page.mask(volume.shape)
    page.page.fill("#reader", "Dr. Reader")
    page.page.keyboard.press("Tab")
    page.page.locator("#findings input[type=checkbox]").nth(0).check()
    page.page.get_by_role("button", name="Another colour").nth(0).click()
    page.key("Control+s")
    page.wait_for_word("Saved: lesion 1, node, left")
    label = reading_server.studies / "labels" / "final" / "ann.nii.gz"
    said = json.loads(label.with_name("ann.json").read_text())
    saved = np.asarray(nib.load(label).dataobj)
    index = {entry["name"]: entry["idx"] for entry in said["targets"]}
    assert np.array_equal(saved == index["lesion 1"], first)
    assert np.array_equal(saved == index["node, left"], second)
    assert [entry["quality"] for entry in said["targets"]] == ["high", "low"]
    assert [entry["by"] for entry in said["targets"]] == ["Dr. Reader", "Dr. Reader"]
    assert [len(entry["clicks"]) for entry in said["targets"]] == [1, 1]

    page = reading("ann")
    assert "by Dr. Reader" in page.page.inner_text("#findings")
    shown = page.page.locator("#findings button.colour").nth(0).evaluate("one => getComputedStyle(one).backgroundColor")
    assert shown == "rgb(0, 158, 115)"  # the third of the palette: the other finding has the second
    page.page.locator("#findings tbody tr").nth(2).click(position={"x": 300, "y": 8})
    assert np.array_equal(page.mask(volume.shape), second)
    for kind in ("seg", "sr", "nifti", "csv"):
        with page.page.expect_download() as download:
            page.page.click(f"[data-format={kind}]")
        download.value.save_as(tmp_path / f"out.{kind}")
    seg = hd.seg.segread(tmp_path / "out.seg")
    assert [seg.get_segment_description(n).segment_label for n in seg.segment_numbers] == ["lesion 1", "node, left"]
    with zipfile.ZipFile(tmp_path / "out.sr") as archive:
        report = pydicom.dcmread(io.BytesIO(archive.read("ann_sr.dcm")))
        assert [str(one.PersonName) for one in report.ContentSequence if one.ValueType == "PNAME"] == ["Dr. Reader"]
    with zipfile.ZipFile(tmp_path / "out.nifti") as archive:
        file = nib.Nifti1Image.from_bytes(gzip.decompress(archive.read("02_node_left.nii.gz")))
        assert np.array_equal(np.asarray(file.dataobj) > 0, second)
    rows = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text("utf-8-sig"))))
    assert [row[0] for row in rows[1:]] == ["lesion 1", "node, left", "total of 2, each voxel once"]
    assert float(rows[1][1]) == pytest.approx(measure_uptake(volume, first).volume_ml)

    page.page.locator("#findings tbody tr.second").nth(1).get_by_role("button", name="Delete").click()
    page.wait_for_word("node, left is deleted")
    assert index["node, left"] not in np.unique(np.asarray(nib.load(label).dataobj))
    page.page.locator("#removed summary").click()
    page.page.get_by_role("button", name="Bring back").click()
    page.wait_for_word("node, left is back")
    said = json.loads(label.with_name("ann.json").read_text())
    index = {entry["name"]: entry["idx"] for entry in said["targets"]}
    assert np.array_equal(np.asarray(nib.load(label).dataobj) == index["node, left"], second)


def test_two_tabs_do_not_overwrite_each_other(reading, browser, reading_server, clean):
    page = reading("ann")
    page.click(0, BALL)
    page.answered(1)
    page.key("Control+s")
    page.wait_for_word("Saved")
    other = type(page)(browser.context.new_page(), f"{reading_server.url}/read/ann")
    other.page.locator("#findings tbody tr").first.click(position={"x": 300, "y": 8})
    other.click(0, (24, 37, 30), button="right")
    other.answered(2)
    other.key("Control+s")
    other.wait_for_word("Saved")
    kept = (clean / "labels" / "final" / "ann.nii.gz").read_bytes()
    page.look_at(BALL)
    page.page.mouse.click(*page.place(0, (32, 37, 30)), button="right")
    page.answered(2)
    page.key("Control+s")
    page.wait_for_word("in another form than you saw")
    assert (clean / "labels" / "final" / "ann.nii.gz").read_bytes() == kept
    other.page.close()


def test_clicks_made_while_the_server_is_away_are_sent_when_it_is_back(reading):
    page = reading("ann")
    page.page.route("**/infer/**", lambda route: route.abort())
    page.click(0, BALL)
    page.page.wait_for_selector("#banner:not([hidden])")
    assert "What you click is kept" in page.page.inner_text("#banner")
    page.page.mouse.click(*page.place(0, (27, 38, 30)))
    page.page.unroute("**/infer/**")
    page.answered(2)
    assert page.mask((75, 75, 60))[BALL]
    assert page.page.locator("#banner").is_hidden()


def test_keys_help_and_window(reading):
    page = reading("ann")
    page.look_at(BALL)
    before = page.pixels("axial")
    page.key("w")
    page.frame()
    assert page.page.input_value("#window") == "10"
    assert page.pixels("axial").mean() > before.mean()
    slices = page.page.evaluate("() => seganypet.cross[2]")
    page.key("ArrowUp")
    assert page.page.evaluate("() => seganypet.cross[2]") == slices + 1
    page.key("?")
    assert "Alt-click" in page.page.inner_text("dialog")
    page.page.get_by_role("button", name="Close").click()


def test_the_policy_holds_and_nothing_comes_from_elsewhere(reading, browser, reading_server):
    asked: list[str] = []
    browser.on("request", lambda request: asked.append(request.url))
    reading("ann")
    assert asked
    assert all(url.startswith((reading_server.url, "blob:", "data:")) for url in asked)


def test_the_start_page_leads_here(reading, browser, reading_server):
    browser.goto(f"{reading_server.url}/")
    browser.locator('a[href="/read/coded"]').first.click()
    browser.wait_for_selector("body[data-ready=all]")
