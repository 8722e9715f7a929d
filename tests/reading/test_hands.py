"""What the reader's hands do, and that nothing is lost while an answer is on its way."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from reading_page import ReadingPage
from test_late_answers import BALL, held, settled, sizes

OTHER = (60, 60, 20)  # of `ann`, nothing there


def test_a_save_waits_for_the_answer_that_is_on_its_way(reading, clean):
    page = reading("ann")
    release = held(page, "**/infer/**")
    page.click(0, BALL)
    page.page.click("#save")
    release()
    page.wait_for_word("Saved: lesion 1")
    assert page.states() == {"lesion 1": "saved"}


def test_an_export_holds_what_was_still_being_answered(reading):
    page = reading("ann")
    page.draw("liver", OTHER, 3)
    page.key("n")
    release = held(page, "**/infer/**")
    page.click(0, BALL)
    with page.page.expect_download() as download:
        page.page.click("#export [data-format=csv]")
        release()
    rows = list(csv.reader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))
    assert [row[0] for row in rows[1:]] == ["liver", "lesion 1", "total of 2, each voxel once"]


def test_a_threshold_replaces_no_other_lesion(reading):
    page = reading("ann")
    page.draw("liver", OTHER, 4)
    page.key("4")
    page.click(0, BALL)  # far from the finding that is active: another lesion
    settled(page)
    assert sizes(page)["liver"] == 64
    assert sizes(page)["lesion 1"] > 50
    page.click(0, (61, 61, 21))
    page.wait_for_word("liver is selected: click again")
    assert sizes(page)["liver"] == 64


def test_the_eraser_alone_adds_nothing(reading):
    page = reading("ann")
    page.key("e")
    page.click(0, BALL)
    page.wait_for_word("Select the finding that something is to be erased from")
    assert sizes(page) == {}


def test_what_is_pressed_after_a_name_was_typed_is_done(reading, clean):
    page = reading("ann")
    page.draw("lesion 1", (24, 36, 29), 2)
    name = page.page.locator("#findings input.name")
    name.fill("thigh")
    page.page.get_by_role("button", name="Save", exact=True).click(delay=120)  # as long as a person presses
    page.wait_for_word("Saved: thigh")
    name.fill("thigh left")
    page.page.keyboard.press("Tab")
    page.page.wait_for_timeout(50)
    assert page.page.evaluate("() => document.activeElement.dataset.key") == "1 check"
    name.fill("thigh right")
    page.page.keyboard.press("Control+s")
    page.wait_for_word("Saved: thigh right")
    name.fill("node")
    page.page.keyboard.press("Enter")
    page.page.keyboard.press("h")
    assert name.input_value() == "node"
    page.wait_for_word("All findings are hidden")
    page.click(0, (27, 38, 30))
    page.answered(2)
    assert page.page.evaluate("() => seganypet.allHidden") is False


def test_a_name_that_is_being_written_is_not_left_without_a_word(reading, browser, clean):
    page = reading("ann")
    page.draw("lesion 1", (24, 36, 29), 2)
    page.key("Control+s")
    page.wait_for_word("Saved: lesion 1")
    asked: list[str] = []
    browser.on("dialog", lambda dialog: asked.append(dialog.type))
    page.page.locator("#findings input.name").press_sequentially("thigh ")
    browser.reload()
    assert asked == ["beforeunload"]


def test_what_is_typed_goes_where_a_name_was_selected(reading):
    page = reading("ann")
    page.draw("lesion 1", (24, 36, 29), 2)
    page.draw("lesion 2", OTHER, 2)
    box = page.page.locator("#findings input.name").first.bounding_box()
    page.page.mouse.dblclick(box["x"] + 20, box["y"] + 10)  # in a row that was not selected
    page.page.keyboard.type("node")
    page.page.keyboard.press("Enter")
    assert list(page.states()) == ["node 1", "lesion 2"]
    page.page.locator("[data-key='2 colour']").focus()
    page.page.keyboard.press("Tab")  # selects the name
    page.page.evaluate("() => seganypet.changed()")  # as an answer does that comes meanwhile
    page.page.keyboard.type("spleen")
    page.page.keyboard.press("Enter")
    assert list(page.states()) == ["node 1", "spleen"]


def test_undo_takes_no_colour_and_no_hiding_back(reading):
    page = reading("ann")
    page.draw("a", (24, 36, 29), 2)
    page.draw("b", OTHER, 2)
    page.page.evaluate("() => { seganypet.findings.set(1, { hidden: true }); seganypet.findings.recolour(1); }")
    wanted = "() => seganypet.findings.list.filter((one) => one.id === 1).map((one) => [one.hidden, one.colour])"
    before = page.page.evaluate(wanted)
    page.page.click("#undo")
    assert page.page.evaluate(wanted) == before
    colours = page.page.evaluate(
        "() => { seganypet.begin(); return seganypet.findings.list.map((one) => one.colour); }"
    )
    assert len({tuple(one) for one in colours}) == len(colours)


@pytest.mark.parametrize(("end", "shown"), [(40, "40"), (8.81e-10, None), (1e9, None)])
def test_the_window_is_called_what_it_is(reading, end, shown):
    page = reading("ann")
    page.page.evaluate(f"() => seganypet.setWindow({end})")
    said = page.page.evaluate("() => document.getElementById('window').selectedOptions[0].textContent")
    real = page.page.evaluate("() => seganypet.window")
    assert float(said) == pytest.approx(real, rel=0.01)
    assert shown in (None, said)
    assert 1e-4 < real < 1000


def cross(page: ReadingPage) -> list[int]:
    return page.page.evaluate("() => seganypet.grid.toStudy(seganypet.cross)")


def test_wheel_and_keys_are_for_the_view_under_the_pointer(reading):
    page = reading("ann")
    page.look_at(BALL)
    page.page.mouse.move(*page.place(1, BALL))  # coronal
    page.page.keyboard.press("ArrowUp")
    assert [a - b for a, b in zip(cross(page), BALL, strict=True)].count(0) == 2
    assert cross(page)[1] != BALL[1]
    page.look_at(BALL)
    page.page.mouse.wheel(100, 0)
    page.page.mouse.wheel(0, 10)
    assert cross(page) == list(BALL)
    for _ in range(3):
        page.page.mouse.wheel(0, 10)
    page.page.wait_for_function("j => seganypet.grid.toStudy(seganypet.cross)[1] !== j", arg=BALL[1])
    assert abs(cross(page)[1] - BALL[1]) == 1


def test_a_finding_can_be_clicked_with_keys_alone(reading):
    page = reading("ann")
    page.look_at((BALL[0] + 1, BALL[1] + 1, BALL[2]))
    page.page.locator("canvas[data-view=axial]").focus()
    page.page.keyboard.press("Shift+ArrowUp")
    page.page.keyboard.press("ArrowLeft")
    page.page.keyboard.press("Enter")
    page.answered(1)
    (prompt,) = page.prompts()
    assert prompt["ijk"] == cross(page)
    assert sorted(abs(a - b) for a, b in zip(prompt["ijk"], BALL, strict=True))[2] <= 2
    page.page.keyboard.down("Enter")
    page.page.keyboard.down("Enter")  # repeats while it is held
    page.page.keyboard.up("Enter")
    page.answered(2)
    page.page.keyboard.press("Control+z")
    page.page.keyboard.press("Alt+Enter")
    page.answered(2)
    assert [one["positive"] for one in page.prompts()] == [True, False]


def test_what_was_clicked_here_is_not_offered_to_be_saved_on_the_start_page(reading, reading_server):
    page = reading("ann")
    page.click(0, BALL)
    page.answered(1)
    content = page.page.request.get(reading_server.url).text()
    assert "not saved" not in content
