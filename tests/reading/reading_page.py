"""The reading page, worked by real mouse and key events."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from seganypet.clicks.reading import read_prompts


class ReadingPage:
    """A study's reading page, worked by real mouse and key events.

    Args:
        page: of a browser.
        address: of the study's page.
    """

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.open(address)

    def open(self, address: str) -> None:
        self.page.goto(address)
        self.page.wait_for_selector("body[data-ready=all]", timeout=60_000)

    def look_at(self, ijk: Any) -> list[int]:
        """Put the crosshair at a voxel of the study; its voxel of the page."""
        voxel = self.page.evaluate("ijk => seganypet.grid.fromStudy(ijk)", [int(n) for n in ijk])
        self.page.evaluate("voxel => seganypet.moveTo(voxel)", voxel)
        self.frame()
        return voxel

    def frame(self) -> None:
        """Until what was asked for is drawn."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def place(self, view: int, ijk: Any) -> list[float]:
        """Where on the screen a voxel of the study lies in a view that shows it."""
        return self.page.evaluate(
            "([view, ijk]) => seganypet.views[view].pageAt(seganypet.grid.fromStudy(ijk))",
            [view, [int(n) for n in ijk]],
        )

    def click(self, view: int, ijk: Any, **how: Any) -> None:
        self.look_at(ijk)
        self.page.mouse.click(*self.place(view, ijk), **how)

    def answered(self, prompts: int) -> None:
        """Until the finding worked on shows the answer to so many prompts."""
        self.frame()
        self.page.wait_for_selector(f'body[data-painted="{prompts}"]', timeout=60_000)
        self.frame()

    def key(self, name: str) -> None:
        self.page.locator("canvas[data-view=axial]").focus()
        self.page.keyboard.press(name)

    def draw(self, name: str, corner: tuple[int, int, int], size: int) -> None:
        """A cube [i, j, k] as a finding's mask: of the finding of that name, or of a new one; until it is answered."""
        self.page.evaluate(
            """([name, start, size]) => {
              const { findings, grid } = seganypet;
              const data = new Uint8Array(size ** 3).fill(1);
              const { bits } = grid.pack({ low: [0, 0, 0], size: [size, size, size], data });
              const there = findings.list.find((one) => one.name === name);
              there ? findings.select(there.id) : findings.begin(name);
              seganypet.replaceMask({ start, shape: [size, size, size], bits });
            }""",
            [name, list(corner), size],
        )
        self.answered(1)

    def states(self) -> dict[str, str]:
        """State of each finding of the table, by its name."""
        rows = self.page.locator("#findings tbody tr:not(.second)").all()
        return {row.locator("input.name").input_value(): str(row.get_attribute("data-state")) for row in rows}

    def numbers(self, row: int = 0) -> dict[str, float]:
        cells = self.page.locator("#findings tbody tr:not(.second)").nth(row).locator("[data-measure]")
        return {cell.get_attribute("data-measure"): float(cell.inner_text()) for cell in cells.all()}

    def mask(self, shape: tuple[int, ...]) -> np.ndarray:
        """The mask of the finding worked on, bool [i, j, k]."""
        sent = self.page.evaluate(
            "() => { const mask = seganypet.findings.shown(seganypet.findings.active)?.mask;"
            " return mask ? seganypet.grid.pack(mask) : null; }"
        )
        return read_prompts([{"type": "mask", **sent}])[0].on(shape) if sent else np.zeros(shape, bool)

    def prompts(self) -> list[dict[str, Any]]:
        return json.loads(self.page.evaluate("() => JSON.stringify(seganypet.findings.active.prompts)"))

    def pixels(self, view: str) -> np.ndarray:
        """[rows, columns, 3] of a view's canvas as it is drawn."""
        data, width, height = self.page.evaluate(
            "name => { const canvas = document.querySelector(`canvas[data-view=${name}]`);"
            " const {width, height} = canvas;"
            " const data = canvas.getContext('2d').getImageData(0, 0, width, height).data;"
            " return [Array.from(data), width, height]; }",
            view,
        )
        return np.array(data, np.uint8).reshape(height, width, 4)[..., :3]

    def said(self) -> str:
        return str(self.page.inner_text("#status"))

    def wait_for_word(self, text: str) -> None:
        self.page.wait_for_selector(f'#status:has-text("{text}")', timeout=30_000)
