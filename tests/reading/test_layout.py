"""The reading page on paper, on small screens, with many findings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from reading_page import ReadingPage


@pytest.fixture
def many(reading) -> Iterator[ReadingPage]:
    """More findings than the screen has room for."""
    page = reading("ann")
    page.page.evaluate(
        """() => {
          const numbers = { voxels: 64, volume_ml: 4.1, suv_max: 9.5, suv_mean: 4.2, suv_peak: 7.7, tlg: 17.2 };
          for (let n = 0; n < 14; n++) {
            const mask = { low: [10 + 4 * n, 30, 30], size: [4, 4, 4], data: new Uint8Array(64).fill(1) };
            seganypet.findings.takeIn({ ...numbers, name: `lesion ${n}`, mask: seganypet.grid.pack(mask) }, mask);
          }
        }"""
    )
    yield page
    page.page.emulate_media(media="screen")
    page.page.set_viewport_size({"width": 1366, "height": 768})


def select_last(page: ReadingPage) -> None:
    page.page.evaluate("() => seganypet.findings.select(seganypet.findings.list.at(-1).id)")
    page.frame()


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


def test_many_findings_keep_what_their_numbers_are_and_their_total_in_view(many):
    select_last(many)
    table = many.page.locator(".table")
    assert table.evaluate("one => one.scrollTop > 0")
    top, height = table.evaluate("one => [one.getBoundingClientRect().top, one.clientHeight]")
    ends = [
        many.page.locator(name).bounding_box() for name in ("#findings thead", "tr.active.second", "#findings tfoot")
    ]
    assert ends[0]["y"] == pytest.approx(top, abs=1)
    assert ends[1]["y"] + ends[1]["height"] <= ends[2]["y"] + 1
    assert ends[2]["y"] + ends[2]["height"] == pytest.approx(top + height, abs=1)


@pytest.mark.parametrize("size", [(390, 844), (820, 1180), (800, 600)])
def test_a_small_screen_shows_all_views_and_the_findings(many, size):
    width, height = size
    many.page.set_viewport_size({"width": width, "height": height})
    select_last(many)
    for name in ("axial", "coronal", "sagittal", "mip"):
        box = many.page.locator(f"canvas[data-view={name}]").bounding_box()
        assert box["width"] > 90, name
        assert 0 <= box["x"] <= width - box["width"], name
        assert 0 <= box["y"] <= height - box["height"], name
    assert many.page.evaluate("() => document.documentElement.scrollWidth") == width
    box = many.page.locator("tr.active.second").bounding_box()
    assert 0 <= box["y"] <= height - box["height"]


def test_a_small_screen_shows_an_only_finding_whole(reading):
    page = reading("ann")
    page.draw("node", (24, 36, 29), 3)
    page.page.set_viewport_size({"width": 390, "height": 844})
    head, row, foot = (page.page.locator(f"#findings {name}").bounding_box() for name in ("thead", "tbody", "tfoot"))
    assert row["height"] > 40
    assert head["y"] + head["height"] <= row["y"] + 1
    assert row["y"] + row["height"] <= foot["y"] + 1
    page.page.set_viewport_size({"width": 1366, "height": 768})
