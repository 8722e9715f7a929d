"""A picture of a study and what was segmented in it: projections of the whole, slices through each mask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seganypet.clicks import Click
from seganypet.evaluation.radiological_view import HORIZONTAL_AND_VERTICAL, RadiologicalView
from seganypet.pet import PetVolume, measure_uptake

COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#17becf", "#e377c2", "#bcbd22", "#8c564b")
PROJECTION_SUV = 8.0  # black in the projections: lesions and most organs stay apart, brain and bladder saturate
FIELD_MM = 160.0  # smallest width of a slice panel


def study_picture(
    volume: PetVolume,
    masks: Mapping[str, NDArray[np.bool_]],
    path: str | Path,
    *,
    clicks: Mapping[str, Iterable[Click]] | None = None,
    title: str | None = None,
    dpi: int = 110,
) -> Path:
    """Writes a PNG: coronal and sagittal maximum-intensity projection, and three slices through each mask's middle.

    Views are radiological: the patient's right on the left of axial and coronal views, the front on the left of
    sagittal ones. An oblique volume is shown along its own axes.

    Args:
        volume: the study.
        masks: name → bool [i, j, k]; an empty mask is named below the projections.
        path: of the PNG; its folder is made.
        clicks: name → the clicks behind a mask, marked in the projections and in slices within half a centimetre.
        title: one line above.
        dpi: dots per inch; the picture is some 9 inches high.

    Raises:
        ValueError: a mask of another shape; it is named.
    """
    for name, mask in masks.items():
        if mask.shape != volume.shape:
            raise ValueError(f"mask {name!r} has shape {mask.shape}, the volume {volume.shape}")
    view = RadiologicalView.of(volume)
    found = {name: view.mask(mask) for name, mask in masks.items() if mask.any()}
    marks = {name: _points(view, (clicks or {}).get(name, ())) for name in masks}
    colour = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(masks)}
    black = PROJECTION_SUV if volume.suv_known else float(np.quantile(view.uptake, 0.997)) or 1.0
    layout = Layout.of(view, len(found), black)
    figure = Figure(figsize=(layout.width, layout.height), facecolor="white")
    FigureCanvasAgg(figure)
    _projections(figure, layout, view, volume, black, found, colour, marks)
    for index, name in enumerate(found):
        panels = [figure.add_axes(layout.panel(index, number)) for number in range(3)]
        _slices(panels, view, found, name, colour, marks[name])
        caption = _caption(volume, name, masks[name], separator="\n" if layout.single else ": ")
        panels[0].set_title(caption, fontsize=9.5, color=colour[name], loc="left", pad=4)
    empty = [name for name in masks if name not in found]
    if empty:
        figure.text(layout.margin / layout.width, 0.012, f"empty: {', '.join(empty)}", fontsize=9, color="0.35")
    if title:
        figure.text(0.5, 1 - 0.28 / layout.height, title, fontsize=12, ha="center")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)
    return path


@dataclass(frozen=True)
class Layout:
    """Where panels go, in inches: projections on the left, a row of three slices per mask on the right.

    A single mask's slices stand below each other; more than four masks take further columns.

    Args:
        projection: height of the projections.
        widths: of the coronal and the sagittal one.
        tile: edge of a slice panel.
        rows: of slices.
        blocks: columns of such rows.
        single: whether there is one mask.
    """

    projection: float
    widths: tuple[float, float]
    tile: float
    rows: int
    blocks: int
    single: bool

    body = 8.2  # height of everything below the title and above the scale
    margin = 0.25
    head, foot = 0.75, 0.75
    gap, caption = 0.08, 0.28

    @classmethod
    def of(cls, view: RadiologicalView, masks: int, black: float) -> Layout:
        x, y, z = (float(np.diff(view.body_mm(axis, black))[0]) for axis in range(3))
        projection = min(cls.body, 9.0 * z / (x + y))
        blocks = max(1, -(-masks // 4))
        rows = 3 if masks == 1 else max(1, -(-masks // blocks))
        tile = cls.body / rows - cls.caption if masks != 1 else (cls.body - 2 * cls.caption) / 3 - cls.gap
        widths = (projection * x / z, projection * y / z)
        return cls(projection, widths, min(tile, 2.7), rows, blocks, masks == 1)

    @property
    def height(self) -> float:
        return self.head + self.body + self.foot

    @property
    def right(self) -> float:
        """Where the slices begin."""
        return self.margin + sum(self.widths) + 0.6

    @property
    def width(self) -> float:
        columns = 1 if self.single else 3
        return self.right + self.blocks * (columns * (self.tile + self.gap) + self.margin)

    def box(self, x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        """A box from inches, y measured from the top, to shares of the figure."""
        return (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)

    def panel(self, mask: int, number: int) -> tuple[float, float, float, float]:
        """Slice 0, 1 or 2 of a mask."""
        if self.single:
            y = self.head + 2 * self.caption + number * (self.tile + self.gap)
            return self.box(self.right, y, self.tile, self.tile)
        block, row = divmod(mask, self.rows)
        x = self.right + block * (3 * (self.tile + self.gap) + self.margin) + number * (self.tile + self.gap)
        return self.box(x, self.head + row * self.body / self.rows + self.caption, self.tile, self.tile)


def _projections(
    figure: Figure,
    layout: Layout,
    view: RadiologicalView,
    volume: PetVolume,
    black: float,
    found: Mapping[str, NDArray[np.bool_]],
    colour: Mapping[str, str],
    marks: Mapping[str, list[tuple[NDArray[np.float64], bool]]],
) -> None:
    top = layout.head + (layout.body - layout.projection) / 2
    left = layout.margin
    for plane, across, width in zip(("coronal", "sagittal"), (1, 0), layout.widths, strict=True):
        axes = figure.add_axes(layout.box(left, top, width, layout.projection))
        view.show(axes, view.uptake.max(axis=across), plane, white=0, black=black)
        axes.set_xlim(view.body_mm(1 - across, black)[::-1])
        axes.set_ylim(view.body_mm(2, black))
        for name, mask in found.items():
            view.outline(axes, mask.any(axis=across), plane, colour[name])
            _mark(axes, marks[name], plane, view)
        left += width + 0.2
    scale = figure.add_axes(layout.box(layout.margin, layout.head + layout.body + 0.2, 2.2, 0.12))
    scale.imshow(np.linspace(0, 1, 256)[None], cmap="gray_r", aspect="auto", extent=(0, black, 0, 1))
    scale.set_yticks([])
    scale.set_xticks([0, black], ["0", f"{black:.3g}"], fontsize=8, color="0.35")
    units = "SUV" if volume.suv_known else f"{volume.units} (SUV unavailable)"
    figure.text(
        *layout.box(layout.margin + 2.45, layout.head + layout.body + 0.32, 0, 0)[:2], units, fontsize=8.5, color="0.35"
    )


def _slices(
    panels: Sequence[Axes],
    view: RadiologicalView,
    found: Mapping[str, NDArray[np.bool_]],
    name: str,
    colour: Mapping[str, str],
    marks: list[tuple[NDArray[np.float64], bool]],
) -> None:
    """Axial, coronal and sagittal slice through one mask's middle, with every mask's outline in them."""
    mask = found[name]
    middle = _middle(mask)
    black = max(1.1 * float(np.quantile(view.uptake[mask], 0.98)), float(np.finfo(np.float32).tiny))
    extent = np.array([np.ptp(np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))) + 1 for axis in range(3)])
    width = max(FIELD_MM, 1.5 * float((extent * view.spacing_mm).max()))
    for axes, (plane, across) in zip(panels, {"axial": 2, "coronal": 1, "sagittal": 0}.items(), strict=True):
        view.show(axes, np.take(view.uptake, middle[across], across), plane, white=0, black=black)
        for other, each in found.items():
            view.outline(axes, np.take(each, middle[across], across), plane, colour[other])
        near = [mark for mark in marks if abs(mark[0][across] - middle[across]) * view.spacing_mm[across] <= 5]
        _mark(axes, near, plane, view)
        centre = [middle[axis] * view.spacing_mm[axis] for axis in HORIZONTAL_AND_VERTICAL[plane]]
        axes.set_xlim(centre[0] + width / 2, centre[0] - width / 2)
        axes.set_ylim(centre[1] - width / 2, centre[1] + width / 2)
        axes.text(0.02, 0.02, plane, transform=axes.transAxes, fontsize=7.5, color="0.45")
    panels[-1].text(
        0.98, 0.02, f"0 to {black:.3g}", transform=panels[-1].transAxes, fontsize=7.5, color="0.45", ha="right"
    )


def _middle(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The voxel of a mask nearest to its centre of mass, so that a slice through it meets a bent or split mask."""
    voxels = np.argwhere(mask)
    return voxels[((voxels - voxels.mean(0)) ** 2).sum(1).argmin()]


def _caption(volume: PetVolume, name: str, mask: NDArray[np.bool_], separator: str) -> str:
    uptake = measure_uptake(volume, mask)
    size = f"{uptake.volume_ml:.0f}" if uptake.volume_ml >= 100 else f"{uptake.volume_ml:.2g}"
    suv = "" if uptake.suv_max is None else f", SUV max {uptake.suv_max:.1f}, mean {uptake.suv_mean:.1f}"
    return f"{name}{separator}{size} mL{suv}"


def _points(view: RadiologicalView, clicks: Iterable[Click]) -> list[tuple[NDArray[np.float64], bool]]:
    return [((view.to_view @ np.array([*click.ijk, 1.0]))[:3], click.positive) for click in clicks]


def _mark(axes: Axes, marks: Iterable[tuple[NDArray[np.float64], bool]], plane: str, view: RadiologicalView) -> None:
    for point, positive in marks:
        x, y = (point[axis] * view.spacing_mm[axis] for axis in HORIZONTAL_AND_VERTICAL[plane])
        axes.plot(
            x,
            y,
            marker="P" if positive else "X",
            ms=7,
            mfc="#00e5a8" if positive else "#ff3b3b",
            mec="k",
            mew=0.6,
            clip_on=True,
        )
