"""The reading page on paper, on small screens, with many findings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from reading_page import ReadingPage


@pytest.fixture
def many(reading) -> Iterator[ReadingPage]:
    """More findings than the screen has room for."""
    page = reading("ann")
    for n in range(14):
        page.draw(f"lesion {n}", (10 + 4 * n, 30, 30), 3)
    yield page
    page.page.emulate_media(media="screen")
    page.page.set_viewport_size({"width": 1366, "height": 768})


def test_what_is_printed_is_in_proportion_and_whole(many):
    page = many.page
    page.emulate_media(media="print")
    fits = page.locator(".view canvas").evaluate_all("all => all.map((one) => getComputedStyle(one).objectFit)")
    assert set(fits) == {"contain"}  # a printer gets what was drawn for the screen
    for name in ("aside", ".table"):
        assert page.locator(name).evaluate("one => one.scrollHeight <= one.clientHeight"), name
    assert page.locator("tfoot").is_visible()
    assert page.locator("#window").is_visible()
    assert page.locator("button:visible:not(.colour)").count() == 0


def test_rows_are_copied_in_a_line_each(reading):
    page = reading("ann")
    page.draw("node, left", (24, 36, 29), 2)
    page.draw("liver", (60, 60, 20), 4)
    copied = """element => {
      getSelection().selectAllChildren(element);
      const event = new ClipboardEvent("copy", { clipboardData: new DataTransfer(), bubbles: true, cancelable: true });
      document.body.dispatchEvent(event);
      return event.clipboardData.getData("text/plain");
    }"""
    lines = [line.split("\t") for line in page.page.locator("#findings").evaluate(copied).splitlines()]
    assert lines[0] == ["Finding", "mL", "max", "mean", "peak", "TLG"]
    assert [line[0] for line in lines[1:]] == ["node, left", "liver", "2 in all"]
    assert [float(text) for text in lines[2][1:]] == list(page.numbers(1).values())
    assert page.page.locator("[data-measure]").first.evaluate(copied) == ""  # a number alone is the browser's to copy
