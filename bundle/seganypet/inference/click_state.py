"""What clicks on one volume have selected so far, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

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
class CloseUp:
    """What the finest rung says around a later click.

    Args:
        window: working index of its first voxel on that rung.
        logits: [L, L, L], made to obey the clicks.
    """

    window: Origin
    logits: Tensor

    @property
    def field(self) -> Blend:
        """The logits where they lie."""
        return Blend(self.window, self.logits, torch.ones_like(self.logits, dtype=torch.bool))


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
        close_ups: of later clicks on a rung that is not the finest, in the order they were made.
    """

    rung: int
    roots: tuple[Origin, ...]
    clicks: tuple[WorkingClick, ...]
    tiles: Tiles = field(default_factory=dict)
    shown: Blend | None = None
    box: Box = (slice(0, 0), slice(0, 0), slice(0, 0))
    mask: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0), dtype=bool))
    cut_off: bool = False
    close_ups: tuple[CloseUp, ...] = ()

    @property
    def bytes_held(self) -> int:
        fields = [*self.tiles.values(), *(one.logits for one in self.close_ups)]
        fields += (self.shown.logits, self.shown.covered) if self.shown else ()
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
