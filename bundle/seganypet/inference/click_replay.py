"""From the answer to some clicks to the answer to one click more.

The ladder: a first click is answered in a small window of the finest rung, centred on it. Where the answer leaves that
window, the next coarser rung goes on, with the finer answer as its mask prompt; on the coarsest, whose windows stand on
a grid, the target is followed from window to window. A first click that the finer rung is unsure of, as in the cold
middle of a large tumour, is the coarser one's where that is surer: it starts afresh then, since what is handed over to
it would be wrong. A large first answer is the coarser one's, too, where that finds much more, as of a tumour that is
hot in its middle. A target never goes down again, and every later click within its windows is answered on its rung: one
inside a coarse answer but outside the fine window it began in, too. Weights that were trained for it then look at what
was clicked close up, on the finest rung again (`close_ups`). Networks without finer rungs have the coarsest alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from scipy import ndimage
from torch import Tensor

from seganypet.data.preprocessing import WorkingImage
from seganypet.inference.click_rules import obey_clicks
from seganypet.inference.click_state import ClickState, CloseUp, Tally, Target, WorkingClick
from seganypet.inference.close_ups import known_in, paint_closely
from seganypet.inference.drawn_prompt import Drawing, drawn_prompt
from seganypet.inference.prompt_steps import drawn_voxels
from seganypet.inference.rung_view import RungView
from seganypet.inference.tiles import Blend, blend, cells_leaving, next_window, paint, resampled
from seganypet.inference.window_encoder import WindowEncoder
from seganypet.inference.windows import Origin, Point
from seganypet.pet import PetVolume

STALE_SHARE = 0.05  # a followed window is decoded again when its share of the target changed by more than this
LEAVING_MM2 = 30.0  # of a finer window's faces that the answer must reach for the next rung to take over
NOTHING_ML = 0.1  # a first answer below this is none; the smallest lesions that are looked for have 0.2 mL
LARGE_ML = 15.0  # a first answer of this volume, in a window of 373 mL, may be a part of something larger:
GOES_ON = 1.5  # which the coarser rung answers where it finds so many times as much
UNSURE_LOGIT = 2.0  # a first click's logit below this asks the coarser rung,
SURER_BY = 1.0  # which answers where its own logit there is higher by this


class ClickReplay:
    """Answers clicks on one volume, one at a time.

    As the released code does: the first click in a window goes with an all-zero mask prompt, each further one with the
    previous raw logits. Beyond it: the ladder; a positive click outside all windows so far starts a target of its own;
    a target that leaves its window on the coarsest rung is followed into the neighbours with the blended logits as
    mask prompt; answers obey the clicks.

    Args:
        encoder: where embeddings come from; its network decodes.
        volume: what is segmented.
        max_windows: most windows one target may have.
        rules: whether answers are made to obey the clicks, see `click_rules`.
        tally: counts what was done.
    """

    def __init__(
        self, encoder: WindowEncoder, volume: PetVolume, *, max_windows: int, rules: bool = True, tally: Tally
    ) -> None:
        self.encoder, self.volume, self.max_windows, self.tally = encoder, volume, max_windows, tally
        self.rules = rules
        self.rungs = [
            RungView(n, encoder.grid(volume, n), rung.window_size, encoder.net.logit_stride, rung.placement)
            for n, rung in enumerate(encoder.rungs)
        ]

    def click_at(self, ijk: Point, positive: bool, drawing: Drawing | None = None) -> WorkingClick:
        """A click at a voxel index of the volume."""
        return WorkingClick(self.rungs[-1].grid.from_centre_mm(ijk), positive, drawing)

    def advance(self, state: ClickState, click: WorkingClick) -> ClickState:
        """The answer after one click more."""
        targets = list(state.targets)
        if click.positive:
            owner = self._owner(targets, click)
            if owner is None:
                negatives = tuple(earlier for earlier in state.clicks if not earlier.positive)
                targets.append(self._answer(Target(0, (self.rungs[0].place(click),), negatives), click))
            else:
                target = targets[owner]
                rung = self.rungs[target.rung]
                root = min(
                    (tile for tile in target.tiles if rung.contains(tile, click)),
                    key=lambda tile: rung.off_centre_mm(tile, click),
                )
                roots = target.roots if root in target.roots else (*target.roots, root)
                targets[owner] = self._answer_later(replace(target, roots=roots), click)
        else:
            for index, target in enumerate(targets):
                if any(self.rungs[target.rung].contains(tile, click) for tile in target.tiles):
                    targets[index] = self._answer_later(target, click)
                else:
                    targets[index] = replace(target, clicks=(*target.clicks, click))
        return ClickState((*state.clicks, click), tuple(targets))

    def _owner(self, targets: list[Target], click: WorkingClick) -> int | None:
        """Of the targets with a window around the click, the one with the nearest positive click."""
        candidates = [
            (min(math.dist(other.point_mm, click.point_mm) for other in target.clicks if other.positive), index)
            for index, target in enumerate(targets)
            if any(self.rungs[target.rung].contains(tile, click) for tile in target.tiles)
        ]
        return min(candidates)[1] if candidates else None

    def _answer_later(self, before: Target, click: WorkingClick) -> Target:
        """The target after a click that is not its first, looked at close up where its rung is not the finest."""
        target = self._answer(before, click)
        if target.shown is None or target.rung == 0 or not self.encoder.net.settings.close_ups:
            return target
        fine, rung = self.rungs[0], self.rungs[target.rung]
        window = fine.place(click)
        known = known_in(window, fine, target.shown, rung, before.close_ups)
        logits = self.decode(fine, window, target.clicks, known, close_up=True)
        if self.rules:
            cells = [(fine.cell(window, one), one.positive) for one in target.clicks]
            logits = obey_clicks(logits, cells, fine.cell_mm, known.on(known, fine.stride), part=True)
        close_ups = (*before.close_ups, CloseUp(window, logits))
        inside = [one for one in target.clicks if one.positive] if self.rules else None
        box, mask = paint_closely(target.shown, rung, fine, close_ups, inside)
        return replace(target, close_ups=close_ups, box=box, mask=mask)

    def _answer(self, target: Target, click: WorkingClick) -> Target:
        """The target after a click that falls into one of its windows, on its own rung or a coarser one."""
        rung, clicks = self.rungs[target.rung], (*target.clicks, click)
        handed = blend(target.tiles, rung.stride) if target.tiles else None
        if click.drawing is not None and handed is None and self.encoder.net.settings.drawn_masks:
            while rung.number < len(self.rungs) - 1 and not self._holds(rung, target.roots[0], click.drawing):
                rung = self.rungs[rung.number + 1]
                target = Target(rung.number, self._roots(rung, clicks), target.clicks)
            handed = drawn_prompt(click.drawing, self.volume.shape, rung.grid, target.roots[0], rung.size, rung.stride)
        while rung.number < len(self.rungs) - 1:
            (root,) = target.roots[:1]
            tiles = {root: self.decode(rung, root, clicks, handed)}
            raw = blend(tiles, rung.stride)
            whole = self._obeyed(raw, rung, clicks, target.shown)
            leaving = sum(cells_leaving(tiles, whole, whole.logits > 0, rung.grid.shape, rung.stride).values())
            coarser = self.rungs[rung.number + 1]
            roots = self._roots(coarser, clicks)
            stays = leaving * rung.cell_mm**2 < LEAVING_MM2
            here = Target(rung.number, (root,), clicks, tiles, whole, *paint(whole, rung.grid, rung.stride))
            if handed is not None and stays:
                return here
            if handed is None:
                sure, large = self._sureness(raw, rung, click), stays and self._volume_ml(here) >= LARGE_ML
                if stays and sure >= UNSURE_LOGIT and not large:
                    return here
                if stays or sure < UNSURE_LOGIT:
                    # what the finer rung is unsure of is not handed over: the coarser one looks for itself
                    above = self._answer(Target(coarser.number, roots, target.clicks), click)
                    found = blend({root: above.tiles[root] for root in roots}, coarser.stride)
                    surer = self._sureness(found, coarser, click) >= max(sure, 0.0) + SURER_BY
                    goes_on = large and self._volume_ml(above) > GOES_ON * self._volume_ml(here)
                    if goes_on or (surer and not large):
                        return above
                    if stays:
                        return here
            handed = resampled(whole, rung.grid, coarser.grid, roots[0], coarser.cells, coarser.stride)
            target, rung = Target(coarser.number, roots, clicks), coarser
        return self._follow(target, rung, clicks, click, handed)

    def _holds(self, rung: RungView, window: Origin, drawing: Drawing) -> bool:
        """Whether a window holds a drawing."""
        box = drawn_voxels(drawing)
        corners: Iterable[Any] = product(*((a, a + n - 1) for a, n in zip(box.start, box.shape, strict=True)))
        return all(rung.contains(window, self.click_at(corner, True)) for corner in corners)

    def _volume_ml(self, target: Target) -> float:
        return float(target.mask.sum()) * self.volume.voxel_volume_ml

    @staticmethod
    def _sureness(field: Blend, rung: RungView, click: WorkingClick) -> float:
        """The network's own logit at a click, 0 or less where it finds next to nothing there."""
        cell = rung.cell(field.origin, click)
        logit = float(field.logits[cell])
        if logit <= 0:
            return logit
        parts, _ = ndimage.label(field.logits.numpy() > 0)
        return logit if float((parts == parts[cell]).sum()) * rung.cell_mm**3 / 1000 >= NOTHING_ML else 0.0

    @staticmethod
    def _roots(rung: RungView, clicks: Sequence[WorkingClick]) -> tuple[Origin, ...]:
        """Windows of a rung that hold the positive clicks, the first one's first."""
        roots: list[Origin] = []
        for click in clicks:
            if click.positive and not any(rung.contains(root, click) for root in roots):
                roots.append(rung.place(click))
        return tuple(roots)

    def _follow(
        self,
        target: Target,
        rung: RungView,
        clicks: tuple[WorkingClick, ...],
        click: WorkingClick,
        before: Blend | None,
    ) -> Target:
        """The target on the coarsest rung, followed from window to window.

        Args:
            before: what was known of it: its last answer, or what a finer rung handed over.
        """
        tiles: dict[Origin, Tensor] = {}
        for root in target.roots:
            if root in target.tiles and not rung.contains(root, click):
                tiles[root] = target.tiles[root]
            else:
                tiles[root] = self.decode(rung, root, clicks, before)
        while True:
            whole = blend(tiles, rung.stride)
            obeyed = self._obeyed(whole, rung, clicks, target.shown)
            window = next_window(tiles, obeyed, obeyed.logits > 0, rung.grid.shape, rung.stride)
            if window is None or len(tiles) >= self.max_windows:
                break
            remembered = target.tiles.get(window)
            if remembered is not None and before is not None:
                whole = blend({**tiles, window: remembered}, rung.stride)
                if not rung.contains(window, click) and not self._changed(rung, before, whole, window):
                    tiles[window] = remembered
                    continue
            tiles[window] = self.decode(rung, window, clicks, whole)
        painted = paint(obeyed, rung.grid, rung.stride)
        return Target(rung.number, target.roots, clicks, tiles, obeyed, *painted, cut_off=window is not None)

    def _obeyed(self, whole: Blend, rung: RungView, clicks: Sequence[WorkingClick], before: Blend | None) -> Blend:
        """A target's logits as they are cut at 0: calibrated until a negative click, and made to obey their clicks.

        Args:
            before: what was shown of the target on this rung before the last click.
        """
        if all(click.positive for click in clicks):
            offset = self.encoder.net.settings.first_answer_offset / len(clicks)
            whole = replace(whole, logits=whole.logits + offset * whole.covered)
        if not self.rules:
            return whole
        cells = [(rung.cell(whole.origin, click), click.positive) for click in clicks]
        shown = None if before is None else before.on(whole, rung.stride)
        return replace(whole, logits=obey_clicks(whole.logits, cells, rung.cell_mm, shown))

    def _changed(self, rung: RungView, before: Blend, after: Blend, window: Origin) -> bool:
        """Whether the target within a window is no longer what it was when the window was decoded."""
        was = self._prompt(rung, before, window) > 0
        now = self._prompt(rung, after, window) > 0
        return int((was ^ now).sum()) > STALE_SHARE * int((was | now).sum())

    def decode(
        self,
        rung: RungView,
        window: Origin,
        clicks: Sequence[WorkingClick],
        previous: Blend | None,
        *,
        close_up: bool = False,
    ) -> Tensor:
        """[L, L, L] logits of a window, given the clicks that lie in it and what is known of the target."""
        start = time.perf_counter()
        prepared = self.tally.prepare_s
        embedding, encoded = self.encoder.embedding(self.volume, rung.number, window, self._image)
        decoding = time.perf_counter()
        inside = [click for click in clicks if rung.contains(window, click)]
        if self.encoder.net.settings.points == "newest":
            inside = inside[-1:]
        points = labels = None
        if inside:
            points = torch.tensor([[rung.local(window, click) for click in inside]])
            labels = torch.tensor([[float(click.positive) for click in inside]])
        prompt = self._prompt(rung, previous, window)[None, None]
        logits = self.encoder.decode(embedding, points, labels, prompt, close_up=close_up)[0, 0]
        self.tally.encode_s += decoding - start - (self.tally.prepare_s - prepared)
        self.tally.decode_s += time.perf_counter() - decoding
        self.tally.windows_encoded += encoded
        self.tally.embeddings_remembered += not encoded
        self.tally.windows_decoded += 1
        return logits

    def _image(self) -> WorkingImage:
        start = time.perf_counter()
        image = self.encoder.image(self.volume)
        self.tally.prepare_s += time.perf_counter() - start
        return image

    @staticmethod
    def _prompt(rung: RungView, previous: Blend | None, window: Origin) -> Tensor:
        """[L, L, L] previous logits at a window's cells, 0 where nothing is known, as before a first click."""
        prompt = torch.zeros(rung.cells, rung.cells, rung.cells)
        if previous is not None:
            in_window, in_lattice = previous.cells(window, prompt.shape, rung.stride)
            prompt[in_window] = previous.logits[in_lattice]
        return prompt
