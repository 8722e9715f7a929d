"""Answers that come late, when another finding is worked on: what they change is what they were asked for."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import requests
from reading_page import ReadingPage

SHAPE = (75, 75, 60)  # of `ann`
BALL = (25, 37, 30)


def held(page: ReadingPage, address: str) -> Callable[[], None]:
    """Holds what the page asks at an address until it is called."""
    routes: list[Any] = []
    page.page.route(address, lambda route: routes.append(route))

    def release() -> None:
        for route in routes:
            route.continue_()
        page.page.unroute(address)

    return release


def sizes(page: ReadingPage) -> dict[str, int]:
    """Voxels of each finding, by its name."""
    return page.page.evaluate(
        "() => Object.fromEntries(seganypet.findings.list.map(one =>"
        " [one.name, seganypet.findings.shown(one)?.mask?.data.reduce((sum, n) => sum + n, 0) ?? 0]))"
    )


def settled(page: ReadingPage) -> None:
    page.page.evaluate("() => seganypet.thresholds")
    page.page.wait_for_function("() => seganypet.findings.list.every(one => seganypet.findings.answer(one))")
    page.frame()


def select(page: ReadingPage, row: int) -> None:
    page.page.locator("#findings tbody tr:not(.second)").nth(row).click(position={"x": 300, "y": 8})


def test_a_threshold_changes_the_finding_that_was_worked_on_when_it_was_asked_for(reading):
    page = reading("ann")
    page.draw("liver", (60, 60, 20), 8)
    page.draw("lesion 1", (24, 36, 29), 2)
    page.key("4")
    release = held(page, "**/threshold")
    page.click(0, BALL)
    select(page, 0)
    release()
    settled(page)
    found = sizes(page)
    assert found["liver"] == 512
    assert found["lesion 1"] > 50
    assert page.page.evaluate("() => seganypet.findings.active.name") == "liver"


def test_a_threshold_that_begins_a_finding_begins_one_and_takes_nobody_elses_place(reading):
    page = reading("ann")
    page.key("4")
    release = held(page, "**/threshold")
    page.click(0, BALL)
    page.click(0, BALL)
    page.page.evaluate("() => seganypet.findings.begin('liver')")
    release()
    settled(page)
    found = sizes(page)
    assert list(found) == ["liver", "lesion 1"]
    assert found["liver"] == 0
    assert found["lesion 1"] > 50
    assert page.page.evaluate("() => seganypet.findings.active.name") == "liver"


def test_a_threshold_of_a_finding_that_is_deleted_says_so(reading):
    page = reading("ann")
    page.draw("lesion 1", (24, 36, 29), 2)
    page.draw("liver", (60, 60, 20), 8)
    select(page, 0)
    page.key("4")
    release = held(page, "**/threshold")
    page.click(0, BALL)
    page.page.locator("#findings tbody tr.second").nth(0).get_by_role("button", name="Delete").click()
    page.wait_for_word("lesion 1 is deleted")
    release()
    page.wait_for_word("The finding was deleted before its region came")
    assert sizes(page) == {"liver": 512}


def test_a_stroke_belongs_to_the_finding_in_which_it_began(reading):
    page = reading("ann")
    page.draw("liver", (60, 60, 20), 8)
    page.draw("lesion 1", (24, 36, 29), 2)
    page.key("b")
    page.look_at(BALL)
    place = page.place(0, BALL)
    page.page.mouse.move(*place)
    page.page.mouse.down()
    page.page.mouse.move(place[0] + 30, place[1], steps=3)
    page.page.evaluate("() => seganypet.findings.select(seganypet.findings.list[0].id)")
    page.page.mouse.up()
    settled(page)
    found = sizes(page)
    assert found["liver"] == 512
    assert found["lesion 1"] > 20


def test_a_click_that_is_not_answered_yet_is_not_painted_over(reading):
    page = reading("ann")
    release = held(page, "**/infer/**")
    page.click(0, BALL)
    page.key("b")
    page.page.mouse.click(*page.place(0, BALL))
    page.wait_for_word("Wait for the answer to what you did in lesion 1")
    release()
    page.answered(1)
    assert [prompt["type"] for prompt in page.prompts()] == ["click"]
    assert page.mask(SHAPE)[BALL]


def test_of_two_clicks_the_one_that_is_refused_is_taken_back(reading):
    page = reading("ann")
    page.click(0, BALL)
    page.answered(1)
    first = page.mask(SHAPE)
    release = held(page, "**/infer/**")
    page.page.evaluate("ijk => seganypet.findings.add({type: 'click', ijk, positive: true})", [999, 0, 0])
    page.click(0, (27, 38, 30))
    release()
    page.answered(2)
    assert [prompt["ijk"] for prompt in page.prompts()] == [list(BALL), [27, 38, 30]]
    assert (page.mask(SHAPE) & first).any()


def test_a_server_that_refuses_everything_for_a_while_takes_back_one_click_alone(reading):
    page = reading("ann")
    for clicks, voxel in enumerate((BALL, (27, 38, 30)), start=1):
        page.click(0, voxel)
        page.answered(clicks)
    before = page.mask(SHAPE)
    page.page.route("**/infer/**", lambda route: route.fulfill(status=404, json={"detail": "the study went away"}))
    page.click(0, (29, 38, 30))
    page.wait_for_word("the study went away")
    page.page.unroute("**/infer/**")
    page.answered(2)
    assert [prompt["ijk"] for prompt in page.prompts()] == [list(BALL), [27, 38, 30]]
    assert np.array_equal(page.mask(SHAPE), before)


@pytest.mark.parametrize(
    "login",
    [
        {"status": 401, "json": {"detail": "sign in first"}},
        {"status": 403, "content_type": "text/html", "body": "<h1>Forbidden</h1>"},
        {"status": 200, "content_type": "text/html; charset=utf-8", "body": "<form>Password</form>"},
    ],
)
def test_a_click_waits_while_the_login_has_run_out(reading, login):
    page = reading("ann")
    page.page.route("**/infer/**", lambda route: route.fulfill(**login))
    page.click(0, BALL)
    page.page.wait_for_selector("#banner:not([hidden])")
    assert "Your login has expired" in page.page.inner_text("#banner")
    page.page.unroute("**/infer/**")
    page.answered(1)
    assert page.mask(SHAPE)[BALL]
    assert page.page.locator("#banner").is_hidden()


@contextlib.contextmanager
def answered_with(page: ReadingPage, address: str, head: str, body: bytes) -> Iterator[None]:
    """What the page asks at an address gets these bytes, and then the connection ends."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.page.route(address, lambda route: route.continue_(url=f"http://127.0.0.1:{server.server_address[1]}/"))
        yield
        page.page.unroute(address)
        server.shutdown()


def test_a_click_whose_answer_breaks_off_is_sent_again(reading):
    page = reading("ann")
    with answered_with(page, "**/infer/**", "Content-Type: application/json\r\nContent-Length: 5000", b'{"mask": {'):
        page.click(0, BALL)
        page.page.wait_for_selector("#banner:not([hidden])")
        assert "What you click is kept" in page.page.inner_text("#banner")
    page.answered(1)
    assert page.mask(SHAPE)[BALL]
    assert page.page.locator("#banner").is_hidden()


def test_a_study_whose_voxels_break_off_is_loaded_again(reading, reading_server):
    page = reading("coded")
    with answered_with(page, "**/voxels", "Content-Length: 5000", b"xx"):
        page.page.goto(f"{reading_server.url}/read/ann")
        page.page.wait_for_selector("#banner:not([hidden])")
    page.page.wait_for_selector("body[data-ready=all]", timeout=60_000)
    assert page.page.locator("#banner").is_hidden()


def test_a_study_is_shown_where_a_proxy_does_not_say_how_long_it_is(reading, reading_server):
    page = reading("coded")
    voxels = requests.get(f"{reading_server.url}/read/ann/voxels", timeout=60).content
    with answered_with(page, "**/voxels", "Connection: close", voxels):
        page.open(f"{reading_server.url}/read/ann")
    assert page.page.evaluate("() => seganypet.voxels.length") == len(voxels) / 2


def test_slices_are_read_where_projections_are_refused(reading, reading_server):
    page = reading("coded")
    refusal = {"status": 500, "content_type": "application/json", "body": '{"detail": "no room for them"}'}
    for part in ("projections", "progress"):
        page.page.route(f"**/{part}", lambda route: route.fulfill(**refusal))
    page.open(f"{reading_server.url}/read/ann")
    assert page.page.inner_text("#status") == "The projections cannot be shown: no room for them"
    assert page.page.inner_text("#encoding") == "no room for them"
    page.click(0, BALL)
    page.answered(1)
    assert page.errors == []
    for part in ("projections", "progress"):
        page.page.unroute(f"**/{part}")
