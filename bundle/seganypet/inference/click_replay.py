"""From the answer to some clicks to the answer to one click more."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from seganypet.data.preprocessing import WorkingImage
from seganypet.inference.tiles import Blend, Box, Tiles, blend, next_window, paint, target_mask
from seganypet.inference.window_encoder import WindowEncoder
from seganypet.inference.windows import Origin, Point, contains, place_window
from seganypet.pet import PetVolume

STALE_SHARE = 0.05  # a followed window is decoded again when its share of the target changed by more than this


@dataclass(frozen=True)
class WorkingClick:
    """A click as a working index of the volume."""

    point: Point
    positive: bool


@dataclass(frozen=True)
class Target:
    """What the clicks in one neighbourhood have selected.

    Args:
        roots: windows in which positive clicks are answered.
        clicks: its positive clicks and all negative ones, in the order they were made.
        tiles: the roots' logits and those of the windows the target was followed into; [L, L, L] raw logits.
        box: where its mask lies in the volume.
        mask: bool [i, j, k] within `box`.
        cut_off: whether it goes on beyond the most windows a target may have.
    """

    roots: tuple[Origin, ...]
    clicks: tuple[WorkingClick, ...]
    tiles: Tiles = field(default_factory=dict)
    box: Box = (slice(0, 0), slice(0, 0), slice(0, 0))
    mask: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0), dtype=bool))
    cut_off: bool = False


@dataclass(frozen=True)
class ClickState:
    """The answer to an ordered list of clicks, immutable."""

    clicks: tuple[WorkingClick, ...] = ()
    targets: tuple[Target, ...] = ()

    @property
    def bytes_held(self) -> int:
        return 512 + sum(
            target.mask.nbytes + sum(tile.numel() * tile.element_size() for tile in target.tiles.values())
            for target in self.targets
        )


@dataclass
class Tally:
    """What answering cost so far."""

    prepare_s: float = 0.0
    encode_s: float = 0.0
    decode_s: float = 0.0
    windows_encoded: int = 0
    windows_decoded: int = 0
    embeddings_remembered: int = 0


class ClickReplay:
    """Answers clicks on one volume, one at a time.

    As the released code does: the first click in a window goes with an all-zero mask prompt, each further one with the
    previous raw logits. Beyond it: a positive click outside all windows so far starts a target of its own; a target
    that leaves its window is followed into the neighbours with the blended logits as mask prompt.

    Args:
        encoder: where embeddings come from; its network decodes.
        volume: what is segmented.
        max_windows: most windows one target may have.
        tally: counts what was done.
    """

    def __init__(self, encoder: WindowEncoder, volume: PetVolume, *, max_windows: int, tally: Tally) -> None:
        self.encoder, self.volume, self.max_windows, self.tally = encoder, volume, max_windows, tally
        self.grid = encoder.grid(volume)
        self.size: int = encoder.net.window_size
        self.stride: int = encoder.net.logit_stride
        self.cells = self.size // self.stride

    def advance(self, state: ClickState, click: WorkingClick) -> ClickState:
        """The answer after one click more."""
        targets = list(state.targets)
        if click.positive:
            owner = self._owner(targets, click)
            if owner is None:
                placement = self.encoder.net.settings.placement
                root = place_window(click.point, self.grid.shape, self.size, placement)
                negatives = tuple(earlier for earlier in state.clicks if not earlier.positive)
                targets.append(self._answer(Target((root,), negatives), click))
            else:
                target = targets[owner]
                root = min(
                    (tile for tile in target.tiles if contains(tile, self.size, click.point)),
                    key=lambda tile: _distance(self._centre(tile), click.point),
                )
                roots = target.roots if root in target.roots else (*target.roots, root)
                targets[owner] = self._answer(replace(target, roots=roots), click)
        else:
            for index, target in enumerate(targets):
                if any(contains(tile, self.size, click.point) for tile in target.tiles):
                    targets[index] = self._answer(target, click)
                else:
                    targets[index] = replace(target, clicks=(*target.clicks, click))
        return ClickState((*state.clicks, click), tuple(targets))

    def _owner(self, targets: list[Target], click: WorkingClick) -> int | None:
        """Of the targets with a window around the click, the one with the nearest positive click."""
        candidates = [
            (min(_distance(other.point, click.point) for other in target.clicks if other.positive), index)
            for index, target in enumerate(targets)
            if any(contains(tile, self.size, click.point) for tile in target.tiles)
        ]
        return min(candidates)[1] if candidates else None

    def _answer(self, target: Target, click: WorkingClick) -> Target:
        """The target after a click that falls into one of its windows."""
        clicks = (*target.clicks, click)
        before = blend(target.tiles, self.stride) if target.tiles else None
        tiles: dict[Origin, Tensor] = {}
        for root in target.roots:
            if root in target.tiles and not contains(root, self.size, click.point):
                tiles[root] = target.tiles[root]
            else:
                tiles[root] = self._decode(root, clicks, before)
        while True:
            whole = blend(tiles, self.stride)
            mask = target_mask(whole, target.roots, self.cells, self.stride)
            window = next_window(tiles, whole, mask, self.grid.shape, self.stride)
            if window is None or len(tiles) >= self.max_windows:
                break
            remembered = target.tiles.get(window)
            if remembered is not None and before is not None:
                whole = blend({**tiles, window: remembered}, self.stride)
                if not contains(window, self.size, click.point) and not self._changed(before, whole, window):
                    tiles[window] = remembered
                    continue
            tiles[window] = self._decode(window, clicks, whole)
        box, painted = paint(whole, mask, self.grid, self.stride)
        return Target(target.roots, clicks, tiles, box, painted, cut_off=window is not None)

    def _changed(self, before: Blend, after: Blend, window: Origin) -> bool:
        """Whether the target within a window is no longer what it was when the window was decoded."""
        was = self._prompt(before, window) > 0
        now = self._prompt(after, window) > 0
        return int((was ^ now).sum()) > STALE_SHARE * int((was | now).sum())

    def _decode(self, window: Origin, clicks: tuple[WorkingClick, ...], previous: Blend | None) -> Tensor:
        """[L, L, L] logits of a window, given the clicks that lie in it and what is known of the target."""
        start = time.perf_counter()
        prepared = self.tally.prepare_s
        embedding, encoded = self.encoder.embedding(self.volume, window, self._image)
        decoding = time.perf_counter()
        inside = [click for click in clicks if contains(window, self.size, click.point)]
        if self.encoder.net.settings.points == "newest":
            inside = inside[-1:]
        points = labels = None
        if inside:
            local = [[p - w for p, w in zip(click.point, window, strict=True)] for click in inside]
            points, labels = torch.tensor([local]), torch.tensor([[float(click.positive) for click in inside]])
        logits = self.encoder.decode(embedding, points, labels, self._prompt(previous, window)[None, None])[0, 0]
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

    def _prompt(self, previous: Blend | None, window: Origin) -> Tensor:
        """[L, L, L] previous logits at a window's cells, 0 where nothing is known, as before a first click."""
        prompt = torch.zeros(self.cells, self.cells, self.cells)
        if previous is not None:
            in_window, in_lattice = previous.cells(window, self.cells, self.stride)
            prompt[in_window] = previous.logits[in_lattice]
        return prompt

    def _centre(self, window: Origin) -> Point:
        x, y, z = (start + (self.size - 1) / 2 for start in window)
        return (x, y, z)


def _distance(a: Point, b: Point) -> float:
    return sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
