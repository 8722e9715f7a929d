"""A picture of one validation target: clicks, label, rectified label and prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from matplotlib.figure import Figure
from monai.utils.enums import CommonKeys
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from seganypet.training.rectification import Rectification
from seganypet.training.rollout import ClickRollout

PLANES = ("sagittal", "coronal", "axial")  # the working grid runs right, anterior, superior


class ClickPanel:
    """Writes to TensorBoard, for each validation, the first target of its first batch.

    Args:
        rollout: that validates; tells where it clicked.
        rectification: what CPCL would make of the label, given these predictions.
        writer: of the run.
    """

    def __init__(self, rollout: ClickRollout, rectification: Rectification, writer: SummaryWriter) -> None:
        self.rollout = rollout
        self.rectification = rectification
        self.writer = writer

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), self)

    def __call__(self, engine: Engine) -> None:
        output: Any = engine.state.output
        logits, targets = output[CommonKeys.PRED][:1, :1], output[CommonKeys.LABEL].targets[:1, :1]
        rectified = self.rectification(logits, targets)
        points, labels = (made[0, 0].cpu() for made in self.rollout.clicks_made)
        figure = draw_panel(
            output[CommonKeys.IMAGE][0, 0], targets[0, 0], rectified[0, 0], logits[0, 0, -1] > 0, points, labels
        )
        self.writer.add_figure("clicks, label, rectified label, prediction", figure, engine.state.epoch)
        self.writer.flush()


def draw_panel(
    image: Tensor, label: Tensor, rectified: Tensor, prediction: Tensor, points: Tensor, point_labels: Tensor
) -> Figure:
    """Three planes through the first click, one row for each of label, rectified label and prediction.

    Args:
        image: [S, S, S] uptake.
        label: [S, S, S] bool.
        rectified: [S, S, S] bool.
        prediction: [S, S, S] bool.
        points: [N, 3] clicked voxels.
        point_labels: [N], 1 positive, 0 negative, −1 none.
    """
    centre = points[0].long().tolist()
    figure = Figure(figsize=(9, 9), layout="constrained")
    axes = figure.subplots(3, 3, squeeze=False)
    for row, (name, mask) in enumerate((("label", label), ("rectified", rectified), ("prediction", prediction))):
        for axis, plane in enumerate(PLANES):
            view = axes[row, axis]
            view.imshow(_slice(image, axis, centre), cmap="gray_r", origin="lower")
            outline = _slice(mask, axis, centre)
            if outline.any() and not outline.all():
                view.contour(outline, levels=[0.5], colors=["tab:red"], linewidths=1.0)
            across, up = (other for other in range(3) if other != axis)
            for sign, colour, marker in ((1, "tab:green", "+"), (0, "tab:blue", "x")):
                shown = points[point_labels == sign]
                view.scatter(shown[:, across], shown[:, up], c=colour, marker=marker, s=40)
            view.set_title(f"{name}, {plane}", fontsize=8)
            view.set_axis_off()
    return figure


def _slice(volume: Tensor, axis: int, centre: list[int]) -> np.ndarray:
    """The plane across `axis` through a voxel, [up, across]."""
    return volume.select(axis, centre[axis]).float().cpu().numpy().T
