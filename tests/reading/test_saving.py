"""What Save keeps of findings that overlap, that others change meanwhile, or that have another name by now."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np

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


def test_a_lesion_inside_an_organ_stays_saved(reading, clean):
    page = reading("ann")
    page.draw("lesion 1", (22, 22, 22), 2)
    page.draw("liver", (20, 20, 20), 8)
    page.key("Control+s")
    page.wait_for_word("Saved: lesion 1, liver")
    assert page.states() == {"lesion 1": "saved", "liver": "saved"}
    found = saved(clean)
    assert np.array_equal(found["lesion 1"], cube((22, 22, 22), 2))
    assert np.array_equal(found["liver"], cube((20, 20, 20), 8) & ~found["lesion 1"])
    page = reading("ann")
    assert page.states() == {"lesion 1": "saved", "liver": "saved"}


def test_a_save_that_would_leave_nothing_of_a_finding_says_so(reading, clean):
    page = reading("ann")
    page.draw("node", (22, 22, 22), 2)
    page.key("Control+s")
    page.wait_for_word("Saved: node")
    page.draw("lesion 1", (20, 20, 20), 8)
    page.key("Control+s")
    page.wait_for_word("'lesion 1' would leave nothing of 'node'")
    assert page.states() == {"node": "saved", "lesion 1": "not saved"}
    assert voxels(clean) == {"node": 8}
