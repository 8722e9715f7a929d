"""What Save keeps of findings that overlap, that others change meanwhile, or that have another name by now."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from reading_page import ReadingPage

SHAPE = (75, 75, 60)  # of `ann`


def cube(corner: tuple[int, int, int], size: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(n, n + size) for n in corner)] = True
    return mask


def saved(folder: Path) -> dict[str, np.ndarray]:
    """Mask of each target of the final label of `ann`, by its name."""
    label = folder / "labels" / "final" / "ann.nii.gz"
    said = json.loads(label.with_name("ann.json").read_text())
    voxels = np.asarray(nib.load(label).dataobj)
    return {entry["name"]: voxels == entry["idx"] for entry in said["targets"]}


def voxels(folder: Path) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in saved(folder).items()}


def save(page: ReadingPage, said: str) -> None:
    """Press Control-S and wait for the words that the page answers it with."""
    page.key("Control+s")
    page.wait_for_word(said)


def save_one(page: ReadingPage, name: str, corner: tuple[int, int, int], size: int) -> None:
    page.draw(name, corner, size)
    save(page, f"Saved: {name}")


def delete(page: ReadingPage, name: str, row: int = 0) -> None:
    page.page.locator("#findings tbody tr.second").nth(row).get_by_role("button", name="Delete").click()
    page.wait_for_word(f"{name} is deleted")


def test_a_lesion_inside_an_organ_stays_saved(reading, clean):
    page = reading("ann")
    page.draw("lesion 1", (22, 22, 22), 2)
    page.draw("liver", (20, 20, 20), 8)
    save(page, "Saved: lesion 1, liver")
    assert page.states() == {"lesion 1": "saved", "liver": "saved"}
    found = saved(clean)
    assert np.array_equal(found["lesion 1"], cube((22, 22, 22), 2))
    assert np.array_equal(found["liver"], cube((20, 20, 20), 8) & ~found["lesion 1"])
    ml = 8 * float(np.prod(nib.load(clean / "labels" / "final" / "ann.nii.gz").header.get_zooms())) / 1000
    told = page.page.locator("#findings tbody tr.second small").all_inner_texts()
    assert "without" not in told[0]
    assert told[1].endswith(f"without {ml:.2f} mL in other findings")
    page = reading("ann")
    assert page.states() == {"lesion 1": "saved", "liver": "saved"}
    assert "without" not in page.page.locator("#findings").inner_text()  # it is shown as it is kept


def test_a_save_that_would_leave_nothing_of_a_finding_says_so(reading, clean):
    page = reading("ann")
    save_one(page, "node", (22, 22, 22), 2)
    page.draw("lesion 1", (20, 20, 20), 8)
    save(page, "'lesion 1' would leave nothing of 'node'")
    assert page.states() == {"node": "saved", "lesion 1": "not saved"}
    assert voxels(clean) == {"node": 8}


@pytest.fixture
def second(reading, browser, reading_server) -> Iterator[Callable[[], ReadingPage]]:
    """Opens `ann` for another reader, who sees what is saved by then."""
    opened: list[ReadingPage] = []

    def open_page() -> ReadingPage:
        opened.append(ReadingPage(browser.context.new_page(), f"{reading_server.url}/read/ann"))
        opened[-1].page.fill("#reader", "Reader Two")
        opened[-1].page.keyboard.press("Tab")
        return opened[-1]

    yield open_page
    for one in opened:
        assert one.errors == []
        one.page.close()


def save_two(page: ReadingPage) -> None:
    """`node` of 8 voxels and `lesion` of 64, saved by Reader One."""
    page.page.fill("#reader", "Reader One")
    page.page.keyboard.press("Tab")
    page.draw("node", (20, 20, 20), 2)
    page.draw("lesion", (40, 40, 20), 4)
    save(page, "Saved: node, lesion")


def test_what_another_reader_saved_meanwhile_is_not_overwritten(reading, clean, second):
    page = reading("ann")
    save_two(page)
    save_one(second(), "lesion", (39, 39, 19), 6)
    page.draw("node", (20, 20, 20), 3)
    page.draw("lesion", (40, 40, 20), 3)
    save(page, "'lesion' was saved by Reader Two")
    assert voxels(clean) == {"node": 27, "lesion": 216}
    assert page.states() == {"node": "saved", "lesion": "not saved"}


def test_what_another_reader_saved_meanwhile_is_told_and_stays_however_often_one_saves(reading, clean, second):
    page = reading("ann")
    save_two(page)
    save_one(second(), "lesion", (39, 39, 19), 6)
    page.draw("node", (20, 20, 20), 3)
    save(page, "Saved: node. No longer saved as shown here: lesion")
    for _ in range(2):
        save(page, "'lesion' was saved by Reader Two")
        assert voxels(clean) == {"node": 27, "lesion": 216}


def test_a_finding_that_another_reader_deleted_is_no_longer_called_saved(reading, clean, second):
    page = reading("ann")
    save_two(page)
    other = second()
    delete(other, "lesion", row=1)
    page.draw("node", (20, 20, 20), 3)
    save(page, "Saved: node. No longer saved as shown here: lesion")
    assert page.states() == {"node": "saved", "lesion": "not saved"}


def test_findings_that_overlap_are_saved_again_without_a_conflict(reading, clean):
    page = reading("ann")
    save_one(page, "liver", (20, 20, 20), 8)
    save_one(page, "lesion 1", (22, 22, 22), 2)
    assert page.states() == {"liver": "saved", "lesion 1": "saved"}
    assert voxels(clean) == {"liver": 504, "lesion 1": 8}
    page.draw("liver", (20, 20, 20), 9)
    page.draw("lesion 1", (22, 22, 22), 3)
    save(page, "Saved: liver, lesion 1")
    assert voxels(clean) == {"liver": 729 - 27, "lesion 1": 27}
    delete(page, "lesion 1", row=1)
    assert page.states() == {"liver": "not saved"}  # where the lesion was the label has a hole
    save(page, "Saved: liver")
    assert voxels(clean) == {"liver": 729}
    save_one(page, "lesion 2", (22, 22, 22), 3)
    page.draw("lesion 2", (22, 22, 22), 2)
    save(page, "Saved: lesion 2, liver")
    assert voxels(clean) == {"liver": 729 - 8, "lesion 2": 8}
    assert page.states() == {"liver": "saved", "lesion 2": "saved"}


def rename(page: ReadingPage, name: str, row: int = 0) -> None:
    field = page.page.locator("#findings input.name").nth(row)
    field.fill(name)
    field.press("Enter")


def test_a_saved_finding_is_renamed(reading, clean):
    page = reading("ann")
    save_one(page, "node", (20, 20, 20), 2)
    rename(page, "axillary node")
    save(page, "Saved: axillary node")
    assert page.states() == {"axillary node": "saved"}
    assert voxels(clean) == {"axillary node": 8}
    page.draw("axillary node", (20, 20, 20), 3)
    rename(page, "neck node")
    save(page, "Saved: neck node")
    assert voxels(clean) == {"neck node": 27}
    page.key("Control+z")
    save(page, "Saved: axillary node")
    assert voxels(clean) == {"axillary node": 27}


def test_another_name_keeps_what_somebody_else_saved_and_ones_own(reading, clean, second):
    page = reading("ann")
    save_two(page)
    save_one(second(), "lesion", (39, 39, 19), 6)
    page.draw("lesion", (50, 40, 20), 3)
    save(page, "Give yours another name to keep both")
    rename(page, "lesion 2", row=1)
    save(page, "Saved: lesion 2")
    assert voxels(clean) == {"node": 8, "lesion": 216, "lesion 2": 27}


def test_a_save_whose_answer_was_lost_or_that_is_pressed_twice_is_no_conflict(reading, clean):
    page = reading("ann")
    save_one(page, "liver", (20, 20, 20), 8)
    sent = []

    def lose_the_first(route):
        sent.append(route.fetch())
        route.abort() if len(sent) == 1 else route.fulfill(response=sent[-1])

    page.page.route("**/save", lose_the_first)
    page.draw("lesion 1", (22, 22, 22), 2)
    page.key("Control+s")
    save(page, "Everything is saved")
    assert [answer.status for answer in sent] == [200, 200]
    page.page.unroute("**/save")
    assert page.states() == {"liver": "saved", "lesion 1": "saved"}
    page.draw("liver", (20, 20, 20), 9)
    page.draw("lesion 1", (22, 22, 22), 3)
    save(page, "Saved: liver, lesion 1")
    assert voxels(clean) == {"liver": 729 - 27, "lesion 1": 27}


def test_what_is_drawn_while_a_save_is_on_its_way_is_saved_next(reading, clean):
    page = reading("ann")

    def late(route):
        time.sleep(0.5)
        route.continue_()

    page.page.route("**/save", late)
    page.draw("node", (20, 20, 20), 2)
    page.key("Control+s")
    page.draw("node", (20, 20, 20), 3)
    page.key("Control+s")
    page.page.unroute("**/save")
    page.page.wait_for_selector('#findings tr[data-state="saved"]')
    assert voxels(clean) == {"node": 27}


def test_a_finding_that_is_refused_does_not_keep_the_others_from_being_saved(reading, clean, second):
    page = reading("ann")
    save_two(page)
    save_one(second(), "node", (20, 20, 20), 4)
    page.draw("node", (20, 20, 20), 3)
    page.draw("lesion", (40, 40, 20), 5)
    save(page, "Saved: lesion. 'node' was saved by Reader Two")
    assert voxels(clean) == {"node": 64, "lesion": 125}
    assert page.states() == {"node": "not saved", "lesion": "saved"}


def bring_back(page: ReadingPage) -> None:
    page.page.evaluate("() => { document.getElementById('removed').open = true; }")
    page.page.get_by_role("button", name="Bring back").first.click()


def test_what_was_brought_back_stays_through_undo_and_redo(reading, clean):
    page = reading("ann")
    page.draw("liver", (20, 20, 20), 8)
    page.draw("lesion 1", (22, 22, 22), 2)
    save(page, "Saved: liver, lesion 1")
    delete(page, "lesion 1", row=1)
    page.draw("node", (40, 40, 20), 2)
    bring_back(page)
    page.wait_for_word("lesion 1 is back")
    assert page.states() == {"liver": "saved", "node": "not saved", "lesion 1": "saved"}
    for keys, names in (
        (["Control+z", "Control+z"], {"liver", "lesion 1"}),  # before the node was begun
        (["Control+z"], {"liver", "lesion 1"}),  # before the deletion
        (["Control+Shift+Z"] * 3, {"liver", "node", "lesion 1"}),
    ):
        for key in keys:
            page.key(key)
        states = page.states()
        assert (set(states), states["lesion 1"], states["liver"]) == (names, "saved", "saved")
        assert page.page.locator("#findings tbody tr.second").count() == len(names)
    page.draw("liver", (20, 20, 20), 9)
    page.draw("lesion 1", (22, 22, 22), 3)
    save(page, "Saved: liver, node, lesion 1")
    assert voxels(clean) == {"liver": 729 - 27, "lesion 1": 27, "node": 8}


def test_what_was_deleted_in_an_earlier_session_is_brought_back_and_stays(reading, clean):
    page = reading("ann")
    save_one(page, "lesion 1", (22, 22, 22), 2)
    delete(page, "lesion 1")
    page = reading("ann")
    page.draw("node", (40, 40, 20), 2)
    bring_back(page)
    page.wait_for_word("lesion 1 is back")
    page.key("Control+z")
    page.key("Control+z")
    assert page.states() == {"lesion 1": "saved"}


def test_a_finding_is_not_brought_back_beside_another_of_its_name(reading, clean):
    page = reading("ann")
    save_one(page, "lesion 1", (22, 22, 22), 2)
    delete(page, "lesion 1")
    page.draw("lesion 1", (40, 40, 20), 3)
    bring_back(page)
    page.wait_for_word("Another finding is called lesion 1")
    rename(page, "lesion 2")
    bring_back(page)
    page.wait_for_word("lesion 1 is back")
    save(page, "Saved: lesion 2")
    assert voxels(clean) == {"lesion 1": 8, "lesion 2": 27}


def test_a_new_finding_does_not_take_the_name_of_a_saved_one_that_was_undone(reading, clean):
    page = reading("ann")
    page.key("n")
    save_one(page, "lesion 1", (22, 22, 22), 2)
    page.key("Control+z")
    page.key("Control+z")
    assert page.states() == {}
    page.key("n")
    save_one(page, "lesion 2", (40, 40, 20), 3)
    assert voxels(clean) == {"lesion 1": 8, "lesion 2": 27}
    assert set(page.states()) == {"lesion 2"}


def test_what_was_kept_while_the_archive_was_away_is_saved_over(reading, clean):
    page = reading("ann")
    save_one(page, "liver", (20, 20, 20), 8)

    def answer_as_without_archive(route):
        route.fetch()
        route.fulfill(status=502, json={"detail": "the label is kept on this server, but not in the archive: refused"})

    page.page.route("**/save", answer_as_without_archive)
    page.draw("lesion 1", (22, 22, 22), 2)
    save(page, "not in the archive")
    assert page.states() == {"liver": "saved", "lesion 1": "not saved"}
    page.page.unroute("**/save")
    page.draw("lesion 1", (22, 22, 22), 3)
    page.draw("liver", (20, 20, 20), 9)
    save(page, "Saved: liver, lesion 1")
    assert voxels(clean) == {"liver": 729 - 27, "lesion 1": 27}


def test_a_finding_that_is_emptied_here_is_told_to_be_saved_still(reading, clean):
    page = reading("ann")
    save_one(page, "node", (22, 22, 22), 2)
    page.key("Control+z")
    save(page, "Still saved, though empty here: node")
    assert voxels(clean) == {"node": 8}
