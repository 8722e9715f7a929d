"""What a reader may draw besides a click, as frozen values that stand in one ordered list with clicks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from seganypet.clicks.click import Click
from seganypet.clicks.voxel_set import VoxelSet


@dataclass(frozen=True)
class Scribble:
    """A stroke through the target, or through what does not belong to it.

    Args:
        voxels: those the stroke passes.
        positive: whether they belong to the target.
    """

    voxels: VoxelSet
    positive: bool = True


@dataclass(frozen=True)
class Lasso:
    """A closed contour around the target, or around what does not belong to it; its inside counts as drawn.

    Args:
        voxels: the contour, or the region within it.
        positive: whether the target lies in it.
    """

    voxels: VoxelSet
    positive: bool = True


@dataclass(frozen=True)
class Box:
    """A box around the target, or around what does not belong to it.

    Args:
        ranges: half-open voxel ranges ((i0, i1), (j0, j1), (k0, k1)); one voxel along an axis makes it 2-D.
        positive: whether the target lies in it.
        limit: whether the answer has to stay inside.

    Raises:
        ValueError: not three ranges of whole numbers, or an empty one.
    """

    ranges: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    positive: bool = True
    limit: bool = False

    def __post_init__(self) -> None:
        wanted = "a box needs three half-open ranges ((i0, i1), (j0, j1), (k0, k1)) of whole numbers"
        try:
            (i0, i1), (j0, j1), (k0, k1) = self.ranges
            ranges = tuple((index(low), index(high)) for low, high in ((i0, i1), (j0, j1), (k0, k1)))
        except (TypeError, ValueError):
            raise ValueError(f"{wanted}, got {self.ranges!r}") from None
        if any(low >= high for low, high in ranges):
            raise ValueError(f"{wanted}, none of them empty, got {self.ranges!r}")
        object.__setattr__(self, "ranges", ranges)


@dataclass(frozen=True)
class InitialMask:
    """A mask the reader already has; it takes the place of every prompt before it, and later ones refine it.

    Args:
        voxels: of the mask; None for an empty one, which starts afresh.
    """

    voxels: VoxelSet | None

    def on(self, shape: Sequence[int], order: Literal["F", "C"] = "F") -> NDArray[np.bool_]:
        """bool [i, j, k] on the grid of a volume of that shape, in that order in memory."""
        return np.zeros(shape, bool, order=order) if self.voxels is None else self.voxels.on(shape, order)


Prompt = Click | Scribble | Lasso | Box | InitialMask


def selects(prompts: Iterable[Prompt]) -> bool:
    """Whether anything among the prompts can be in the answer: a positive one, or a mask to start from."""
    return any(isinstance(prompt, InitialMask) or prompt.positive for prompt in prompts)


class PromptOutsideError(ValueError):
    """A prompt that leaves its volume."""


AnyPrompt = TypeVar("AnyPrompt", bound=Prompt)


def checked_prompt(prompt: AnyPrompt, number: int, shape: tuple[int, int, int]) -> AnyPrompt:
    """A prompt inside a volume: a click moved onto the volume's outermost voxel centres, a drawing as it is.

    Viewers round, so that a click on the rim, half a voxel beyond those centres, may come as −1 or as n: up to a whole
    voxel beyond them a click counts as on the rim.

    Args:
        number: its position in the list, for the message.
        shape: voxels of the volume.

    Raises:
        TypeError: no prompt.
        PromptOutsideError: a click farther out or not a number, a drawing that leaves the volume; the message names it
            and the volume's extent.
    """
    if not isinstance(prompt, Click):
        _check_drawing(prompt, number, shape)
        return prompt
    if not all(-1 <= place <= length for place, length in zip(prompt.ijk, shape, strict=True)):
        kind, ijk = "foreground" if prompt.positive else "background", ", ".join(f"{place:g}" for place in prompt.ijk)
        raise PromptOutsideError(
            f"prompt {number}, a {kind} click [{ijk}], lies outside the volume of {list(shape)} voxels; "
            "indices are i, j, k"
        )
    i, j, k = (min(max(place, 0.0), length - 1.0) for place, length in zip(prompt.ijk, shape, strict=True))
    return replace(prompt, ijk=(i, j, k))


def _check_drawing(prompt: Scribble | Lasso | Box | InitialMask, number: int, shape: tuple[int, int, int]) -> None:
    low: tuple[int, ...]
    high: tuple[int, ...]
    if isinstance(prompt, Box):
        low, high = tuple(zip(*prompt.ranges, strict=True))
    elif isinstance(prompt, Scribble | Lasso | InitialMask):
        if prompt.voxels is None:
            return
        low = tuple(prompt.voxels.start)
        high = tuple(a + n for a, n in zip(low, prompt.voxels.shape, strict=True))
    else:
        raise TypeError(f"prompt {number} must be a Click, Scribble, Lasso, Box or InitialMask, got {prompt!r}")
    if min(low) < 0 or any(end > length for end, length in zip(high, shape, strict=True)):
        raise PromptOutsideError(
            f"prompt {number}, a {type(prompt).__name__} from voxel {list(low)} to before {list(high)}, leaves the "
            f"volume of {list(shape)} voxels"
        )
