"""Fingers on the views: one works as the mouse does, two zoom and go through the slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from reading_page import ReadingPage
from test_late_answers import BALL, settled, sizes

Touch = Callable[..., None]


@pytest.fixture
def touched(browser, reading_server) -> Iterator[tuple[ReadingPage, Touch]]:
    """A page on a touch screen, and what puts fingers where they are said to be."""
    context = browser.context.browser.new_context(viewport={"width": 1180, "height": 820}, has_touch=True)
    page = ReadingPage(context.new_page(), f"{reading_server.url}/read/ann")
    screen: Any = context.new_cdp_session(page.page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(places)]
        screen.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

    page.look_at(BALL)
    yield page, touch
    assert page.errors == []
    context.close()


def shown(page: ReadingPage) -> tuple[float, int]:
    """Zoom and slice of the axial view."""
    zoom, slice_ = page.page.evaluate("() => [seganypet.views[0].zoom, seganypet.cross[2]]")
    return zoom, slice_


@pytest.mark.parametrize("tool", ["1", "b"])
def test_two_fingers_neither_click_nor_paint(touched, tool):
    page, touch = touched
    page.draw("lesion 1", (60, 60, 20), 4)
    page.look_at(BALL)
    page.key(tool)
    x, y = page.place(0, BALL)
    zoom, slice_ = shown(page)
    touch("Start", (x - 20, y))
    touch("Start", (x - 20, y), (x + 20, y))
    touch("End")
    for moved in ((x - 40, y), (x + 40, y)), ((x - 20, y + 100), (x + 20, y + 100)):
        touch("Start", (x - 20, y))
        touch("Start", (x - 20, y), (x + 20, y))
        touch("Move", *moved)
        touch("End")
        page.frame()
    assert shown(page)[0] == pytest.approx(2 * zoom)
    assert shown(page)[1] > slice_
    settled(page)
    assert sizes(page) == {"lesion 1": 64}


def test_one_finger_clicks(touched):
    page, touch = touched
    touch("Start", tuple(page.place(0, BALL)))
    touch("End")
    page.answered(1)
    assert page.prompts() == [{"type": "click", "ijk": list(BALL), "positive": True}]
