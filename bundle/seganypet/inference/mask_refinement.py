"""A click on a mask that was there before: the network sees the mask as its prompt, and only the clicked part changes.

In a window around the click the mask goes to the network as logits, as the ladder hands a finer answer to a coarser
rung. Of all that the answer would change, the part that holds the click does: what a positive click adds, what a
negative one takes away. So the mask stays as it is where nobody clicked, however much the network disagrees with it.

On 17 lesions of held-out phantoms a roughly drawn mask of Dice 0.71 came to 0.77, 0.80 and 0.79 with one to three
clicks; clicks alone came to 0.72, 0.77 and 0.81.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

from seganypet.clicks import Click
from seganypet.clicks.voxel_set import reaches_inner_face
from seganypet.inference.click_replay import ClickReplay
from seganypet.inference.click_rules import AROUND_MM, NEIGHBOURS
from seganypet.inference.click_state import WorkingClick
from seganypet.inference.prompt_steps import Limit, Step, apply_steps, standing_limits
from seganypet.inference.rung_view import RungView
from seganypet.inference.tiles import Blend
from seganypet.inference.windows import Origin

MASK_LOGIT = 4.0  # of a cell wholly inside a mask; minus that outside


def refine_by(replay: ClickReplay, mask: NDArray[np.bool_], steps: tuple[Step, ...]) -> NDArray[np.bool_]:
    """The mask after the last of the steps since it was given; arguments and answer as of `refine`."""
    step = steps[-1]
    if not isinstance(step, Click):
        painted = mask.copy(order="K")
        apply_steps(painted, () if isinstance(step, Limit) else (step,))
        return painted
    refined = refine(replay, mask, tuple(one for one in steps[:-1] if isinstance(one, Click)), step)
    limits, _ = standing_limits(steps)
    if not step.positive or not limits:
        return refined
    allowed = mask.copy(order="K")  # what is added has to stay inside
    for box in limits:
        allowed[tuple(slice(*side) for side in box.ranges)] = True
    return refined & allowed


def refine(replay: ClickReplay, mask: NDArray[np.bool_], earlier: tuple[Click, ...], click: Click) -> NDArray[np.bool_]:
    """The mask after one click more.

    Args:
        replay: over the volume, with its network.
        mask: bool [i, j, k], not changed.
        earlier: clicks since the mask was given.
        click: inside the volume.

    Returns:
        bool [i, j, k]; the mask itself where it already says what the click says.
    """
    voxel = click.voxel
    if mask[voxel] == click.positive:
        return mask
    seeds = () if click.positive else _seed(mask, voxel, replay.volume.spacing_mm)
    clicks = tuple(replay.click_at(one.ijk, one.positive) for one in (*seeds, *earlier, click))
    for rung in replay.rungs:
        window = rung.place(clicks[-1])
        box, answer = _answer(replay, rung, window, mask, clicks)
        here = mask[box]
        local = tuple(v - side.start for v, side in zip(voxel, box, strict=True))
        change = _clicked_part(
            answer & ~here if click.positive else here & ~answer, here, click.positive, local, replay
        )
        if rung is replay.rungs[-1] or not reaches_inner_face(change, box, mask.shape):
            break
    refined = mask.copy(order="K")
    refined[box][change] = click.positive
    return refined


def _answer(
    replay: ClickReplay, rung: RungView, window: Origin, mask: NDArray[np.bool_], clicks: tuple[WorkingClick, ...]
) -> tuple[tuple[slice, slice, slice], NDArray[np.bool_]]:
    """The network's answer in a window, at the volume's voxels there, without rules."""
    share = F.avg_pool3d(rung.grid.window(mask, window, rung.size)[None, None], rung.stride)[0, 0]
    # nothing of the mask here: a first click, which goes with zeros
    handed = (share - 0.5) * 2 * MASK_LOGIT if share.any() else torch.zeros_like(share)
    logits = replay.decode(rung, window, clicks, Blend(window, handed, torch.ones_like(handed, dtype=torch.bool)))
    box, values = rung.grid.logits_to_source(logits, window, rung.stride)
    return box, (values > 0).numpy()


def _clicked_part(
    change: NDArray[np.bool_],
    here: NDArray[np.bool_],
    positive: bool,
    voxel: tuple[int, ...],
    replay: ClickReplay,
) -> NDArray[np.bool_]:
    """The part of a change that holds the click; around it a little, where the network changes nothing there."""
    free = ~here if positive else here
    steps = [np.arange(n) - v for n, v in zip(here.shape, voxel, strict=True)]
    squared = sum(
        np.square(step * mm).reshape([-1 if axis == a else 1 for a in range(3)])
        for axis, (step, mm) in enumerate(zip(steps, replay.volume.spacing_mm, strict=True))
    )
    around = free & (squared <= AROUND_MM**2)
    around[voxel] = True
    change = change & free
    if not change[voxel]:
        return around
    # a shell one voxel thin all along the mask's border hangs on every change: it is nobody's click
    core = ndimage.binary_opening(change)
    if not core[voxel]:
        return around
    parts, _ = ndimage.label(core)
    return ndimage.binary_dilation(parts == parts[voxel], NEIGHBOURS) & change


def _seed(
    mask: NDArray[np.bool_], voxel: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> tuple[Click, ...]:
    """A positive click where the clicked component is deep and far from the negative click."""
    parts, _ = ndimage.label(mask)
    number = int(parts[voxel])
    box = ndimage.find_objects(parts, number)[number - 1]
    part = parts[box] == number
    depth = ndimage.distance_transform_edt(np.pad(part, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    grid = np.indices(part.shape).astype(np.float32)
    away = np.sqrt(sum(np.square((grid[a] + box[a].start - voxel[a]) * spacing_mm[a]) for a in range(3)))
    best = np.unravel_index(int(np.minimum(depth, away / 2).argmax()), part.shape)
    i, j, k = (int(v) + side.start for v, side in zip(best, box, strict=True))
    return () if (i, j, k) == voxel else (Click((i, j, k)),)
