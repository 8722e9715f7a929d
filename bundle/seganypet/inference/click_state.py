"""What clicks on one volume have selected so far, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from seganypet.inference.drawn_prompt import Drawing
from seganypet.inference.tiles import Blend, Box, Tiles
from seganypet.inference.windows import Origin, Point


@dataclass(frozen=True)
class WorkingClick:
    """A click as mm along the working axes from the volume's centre, the same place on every rung.

    A positive one may stand for a drawing, which the network gets as the mask prompt of a target's first answer.
    """

    point_mm: Point
    positive: bool
    drawing: Drawing | None = None


@dataclass(frozen=True)
class Target:
    """What the clicks in one neighbourhood have selected.

    Args:
        rung: that it is answered on, from the finest.
        roots: windows in which positive clicks are answered.
        clicks: its positive clicks and all negative ones, in the order they were made.
        tiles: the roots' logits and those of the windows the target was followed into; [L, L, L] raw logits.
        shown: the logits that its mask was painted from, made to obey the clicks.
        box: where its mask lies in the volume.
        mask: bool [i, j, k] within `box`.
        cut_off: whether it goes on beyond the most windows a target may have.
    """

    rung: int
    roots: tuple[Origin, ...]
    clicks: tuple[WorkingClick, ...]
    tiles: Tiles = field(default_factory=dict)
    shown: Blend | None = None
    box: Box = (slice(0, 0), slice(0, 0), slice(0, 0))
    mask: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0), dtype=bool))
    cut_off: bool = False

    @property
    def bytes_held(self) -> int:
        fields = [*self.tiles.values(), *((self.shown.logits, self.shown.covered) if self.shown else ())]
        return self.mask.nbytes + sum(one.numel() * one.element_size() for one in fields)


@dataclass(frozen=True)
class ClickState:
    """The answer to an ordered list of clicks, immutable."""

    clicks: tuple[WorkingClick, ...] = ()
    targets: tuple[Target, ...] = ()

    @property
    def bytes_held(self) -> int:
        return 512 + sum(target.bytes_held for target in self.targets)


@dataclass
class Tally:
    """What answering cost so far."""

    prepare_s: float = 0.0
    encode_s: float = 0.0
    decode_s: float = 0.0
    clicks_decoded: int = 0
    windows_encoded: int = 0
    windows_decoded: int = 0
    embeddings_remembered: int = 0
