"""What a set of weights was trained with. It travels with the weights; nobody passes spacing by hand."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

ARCHITECTURES = ("vit_b", "compact")
NORMALISATIONS = ("zscore", "asinh_suv")
PLACEMENTS = ("click", "grid")
POINTS = ("accumulated", "newest")


@dataclass(frozen=True)
class Rung:
    """One level of detail: windows of one size on a grid of one spacing.

    Args:
        spacing_mm: isotropic spacing of its working grid.
        window_size: working voxels of its windows along each axis.
        placement: "click" or "grid", see `NetworkSettings`.

    Raises:
        ValueError: a value out of range.
    """

    spacing_mm: float
    window_size: int
    placement: str = "click"

    def __post_init__(self) -> None:
        if self.placement not in PLACEMENTS:
            raise ValueError(f"placement must be one of {', '.join(PLACEMENTS)}, got {self.placement!r}")
        if not 0 < float(self.spacing_mm) < 100:
            raise ValueError(f"spacing_mm must lie between 0 and 100, got {self.spacing_mm!r}")
        if self.window_size < 1:
            raise ValueError(f"window_size must be above 0, got {self.window_size!r}")


@dataclass(frozen=True)
class NetworkSettings:
    """Architecture and preprocessing that a state dict belongs to.

    Args:
        architecture: "vit_b", the released checkpoints' network, or "compact", the embedded one.
        spacing_mm: isotropic spacing of the working grid that windows are cut from.
        normalisation: "zscore", each window by mean and standard deviation over its voxels > 0 (released weights), or
            "asinh_suv", one fixed transform of SUV for all windows.
        placement: "click", one window centred on the first click (released weights, trained on target-centred crops),
            or "grid", windows at 50 % overlap that can be encoded before any click.
        points: "accumulated", the decoder sees all clicks so far, or "newest", only the last one.
        finer: rungs below `spacing_mm`, finest first. A first click is answered on the finest; a target that reaches
            its window's border goes on on the next coarser one, last on `spacing_mm`. None for the released weights.
        first_answer_offset: added to the logits of the answer to a single click before they are cut at 0. From one
            click a network is cautious, and volumes come out too small; this makes their median right on validation
            data. Of n positive clicks and no negative one the nth part is added, or a second click that asks for more
            would give less.
        drawn_masks: whether the weights were trained on boxes and contours as mask prompts, see `drawn_masks`; else a
            drawing reaches the network as a click.
        close_ups: whether the weights were trained to look at later clicks on large targets close up, and do; `compact`
            has a decoder for that alone, so that nothing else changes by it.
        widths: channels of `compact` at strides 2, 4, 8 and 16: its size. Other architectures have their own.

    Raises:
        ValueError: a value that is none of the above.
    """

    architecture: str
    spacing_mm: float = 1.5
    normalisation: str = "zscore"
    placement: str = "click"
    points: str = "accumulated"
    finer: tuple[Rung, ...] = ()
    first_answer_offset: float = 0.0
    drawn_masks: bool = False
    close_ups: bool = False
    widths: tuple[int, ...] = (16, 32, 96, 192)

    def __post_init__(self) -> None:
        object.__setattr__(self, "finer", tuple(Rung(**r) if isinstance(r, dict) else r for r in self.finer))
        object.__setattr__(self, "widths", tuple(self.widths))
        if not abs(float(self.first_answer_offset)) < 10:
            raise ValueError(f"first_answer_offset must lie between -10 and 10, got {self.first_answer_offset!r}")
        spacings = [*(rung.spacing_mm for rung in self.finer), self.spacing_mm]
        if sorted(set(spacings)) != spacings:
            raise ValueError(f"the rungs' spacings must grow from the finest to spacing_mm, got {spacings}")
        if len(self.widths) != 4 or any(width < 8 or width % 8 for width in self.widths) or self.widths[3] % 32:
            raise ValueError(f"widths must be four multiples of 8, the last of 32, got {list(self.widths)}")
        for name, allowed in (
            ("architecture", ARCHITECTURES),
            ("normalisation", NORMALISATIONS),
            ("placement", PLACEMENTS),
            ("points", POINTS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if not 0 < float(self.spacing_mm) < 100:
            raise ValueError(f"spacing_mm must lie between 0 and 100, got {self.spacing_mm!r}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkSettings:
        """Settings read from a file.

        Raises:
            ValueError: unknown or missing keys, which are named.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown or "architecture" not in values:
            raise ValueError(f"network settings need 'architecture' and know {sorted(known)}; got {sorted(values)}")
        return cls(**values)


DEFAULT_SETTINGS = {
    "vit_b": NetworkSettings("vit_b", spacing_mm=1.5, normalisation="zscore", placement="click"),
    "compact": NetworkSettings(
        "compact", spacing_mm=3.0, normalisation="asinh_suv", placement="grid", finer=(Rung(1.5, 48),)
    ),
}
