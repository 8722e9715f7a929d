"""OHIF in a headless Chromium, worked as a person works it; what it shows is read from its own volumes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

SHOWN = """(world) => {
  const pet = window.cornerstone.cache.getVolumes().find(volume => volume.scaling && volume.scaling.PT);
  const ijk = pet.imageData.worldToIndex(world).map(Math.round);
  return {ijk, value: pet.voxelManager.getAtIJK(...ijk), dimensions: Array.from(pet.dimensions)};
}"""
SEGMENTED = """() => {
  const volumes = window.cornerstone.cache.getVolumes().filter(volume => !(volume.scaling && volume.scaling.PT));
  const all = volumes.map(volume => volume.voxelManager.getCompleteScalarDataArray());
  const data = all.find(voxels => voxels.some(value => value > 0)) || [];
  const found = [];
  data.forEach((value, index) => { if (value) { found.push(index); } });
  return found;
}"""
WHERE = """(world) => {
  const viewport = window.cornerstone.getRenderingEngines()[0].getViewports()[0];
  const {focalPoint, viewPlaneNormal} = viewport.getCamera();
  const away = world.reduce((sum, value, axis) => sum + (value - focalPoint[axis]) * viewPlaneNormal[axis], 0);
  const box = viewport.canvas.getBoundingClientRect(), [x, y] = viewport.worldToCanvas(world);
  return {away, x: box.x + x, y: box.y + y};
}"""


class Ohif:
    """OHIF's MONAI Label mode on one study.

    Args:
        page: of a browser.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.answer = ""  # what the server said to the last click it refused

    def wait_for_images(self) -> None:
        """Until all slices are there."""
        self.page.wait_for_selector("canvas.cornerstone-canvas", timeout=120_000)
        self.page.wait_for_function(
            "() => window.cornerstone.cache.getVolumes().some(v => v.scaling && v.loadStatus && v.loadStatus.loaded)",
            timeout=120_000,
        )
        self.hide_notice()

    def hide_notice(self) -> None:
        """Confirm that this is for research."""
        notice = self.page.get_by_text("Confirm and Hide")
        if notice.count():
            notice.click()

    def connect(self) -> str:
        """Press the button beside the server's address; gives that address."""
        address = str(self.page.input_value("#monailabelServerURL"))
        self.page.locator("button.actionButton").first.click()
        self.page.wait_for_selector("text=Point Prompts", timeout=30_000)
        self.page.get_by_text("Point Prompts").click()
        return address

    def select_row(self, label: str) -> None:
        self.page.locator("tr.clickable-row", has_text=label).click()

    def click_at(self, world_lps: Sequence[float]) -> None:
        """Turn the mouse wheel to the slice of a place in the patient, and click there."""
        world = [float(value) for value in world_lps]
        there = self.page.evaluate(WHERE, world)
        self.page.mouse.move(there["x"], there["y"])
        direction, last = 100, abs(there["away"])
        for _ in range(500):
            if abs(there["away"]) < 0.5:
                break
            self.page.mouse.wheel(0, direction)
            self.page.wait_for_timeout(40)
            there = self.page.evaluate(WHERE, world)
            if abs(there["away"]) > last:
                direction = -direction
            last = abs(there["away"])
        assert abs(there["away"]) < 0.5, f"the slice was not reached: {there}"
        self.page.wait_for_timeout(500)
        self.page.mouse.click(there["x"], there["y"])
        self.page.wait_for_timeout(500)

    def run(self) -> tuple[int, dict[str, Any]]:
        """Press Run in Point Prompts; gives the answer's status and the clicks as OHIF sent them."""
        with self.page.expect_response(lambda answer: "/infer/" in answer.url, timeout=120_000) as got:
            self.page.locator('button.actionButton[title="Run PointPrompts"]').click()
        answer = got.value
        answer.finished()
        self.answer = "" if answer.ok else answer.text()
        self.page.wait_for_timeout(1500)
        form = answer.request.post_data
        return answer.status, json.loads(form[form.index("{") : form.rindex("}") + 1])

    def shown(self, world_lps: Sequence[float]) -> dict[str, Any]:
        """Voxel index and value that OHIF itself has at a place in the patient."""
        return dict(self.page.evaluate(SHOWN, [float(value) for value in world_lps]))

    def segmented(self) -> list[int]:
        """Flat indices, i fastest, of the voxels of OHIF's own segmentation."""
        return list(self.page.evaluate(SEGMENTED))
