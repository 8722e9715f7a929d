"""CPCL's diagnostic on cohorts whose truth is known: which share of the flips corrects the label, over time."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import Tensor

from seganypet.data.preprocessing import normalise_window
from seganypet.data.studies import WorkingStudy
from seganypet.data.window_cutting import WindowCut
from seganypet.networks.settings import NetworkSettings
from seganypet.training.rectification import Rectification
from seganypet.training.rollout import ClickRollout

COLUMNS = ("epoch", "flipped_voxels", "corrected_voxels", "wrong_voxels")


@dataclass(frozen=True)
class KnownTarget:
    """A low-quality target whose truth is known.

    Args:
        image: [1, S, S, S] normalised window around it.
        noisy: [S, S, S] bool, the label that training sees.
        clean: [S, S, S] bool, the truth.
    """

    image: Tensor
    noisy: Tensor
    clean: Tensor


class FlipDiagnostic:
    """After every epoch, what would be flipped on some low-quality organs, and whether that corrects them.

    Args:
        noisy: the training studies; those of low quality are looked at.
        clean: the same studies with true labels, in any order.
        settings: of the weights.
        rollout: in evaluation mode, of the network to look at; its window and clicks.
        rectification: what flips.
        path: CSV file with one row an epoch: voxels flipped, flipped rightly, and wrong before.
        most: targets looked at.
        seed: which, and where they are clicked.
    """

    def __init__(
        self,
        noisy: Sequence[WorkingStudy],
        clean: Sequence[WorkingStudy],
        *,
        settings: NetworkSettings,
        rollout: ClickRollout,
        rectification: Rectification,
        path: str | Path,
        most: int = 16,
        seed: int = 0,
    ) -> None:
        self.rollout = rollout
        self.rectification = rectification
        self.path = Path(path)
        self.seed = seed
        window_size = rollout.network.window_size
        self.targets = draw_known_targets(noisy, clean, settings, window_size, most=most, seed=seed)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        counts = count_flips(self.rollout, self.targets, [self.rectification], seed=self.seed)[0]
        begins = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if begins:
                writer.writerow(COLUMNS)
            writer.writerow([engine.state.epoch, *counts.tolist()])


@torch.no_grad()
def count_flips(
    rollout: ClickRollout, targets: Sequence[KnownTarget], rectifications: Sequence[Rectification], *, seed: int = 0
) -> np.ndarray:
    """What each rectification would flip: [n, 3] voxels flipped, flipped rightly, and wrong before, over all targets.

    Args:
        rollout: put into evaluation mode; its clicks are drawn on the noisy labels, as training draws them.
        targets: with their truth.
        rectifications: compared on the same predictions.
        seed: target n is clicked from seed + n.
    """
    rollout.eval()
    device = next(rollout.parameters()).device
    counts = np.zeros((len(rectifications), 3), int)
    for number, target in enumerate(targets):
        noisy, clean = target.noisy.to(device)[None, None], target.clean.to(device)[None, None]
        logits = rollout(target.image.to(device)[None], noisy, torch.tensor([seed + number]))
        wrong = noisy != clean
        for row, rectification in zip(counts, rectifications, strict=True):
            flipped = rectification(logits, noisy) != noisy
            row += [int(flipped.sum()), int((flipped & wrong).sum()), int(wrong.sum())]
    return counts


def draw_known_targets(
    noisy: Sequence[WorkingStudy],
    clean: Sequence[WorkingStudy],
    settings: NetworkSettings,
    window_size: int,
    *,
    most: int = 16,
    seed: int = 0,
) -> list[KnownTarget]:
    """At most so many low-quality organs whose study has a clean twin, by lot; arguments as `FlipDiagnostic`'s."""
    truth = {study.name: study for study in clean}
    found = [
        known
        for study in noisy
        if not study.high_quality and study.name in truth
        for known in known_targets(study, truth[study.name], settings, window_size)
    ]
    order = np.random.default_rng(seed).permutation(len(found))[:most]
    return [found[index] for index in order]


def known_targets(
    noisy: WorkingStudy, clean: WorkingStudy, settings: NetworkSettings, window_size: int
) -> list[KnownTarget]:
    """The organs that both label maps hold, each in a window around the noisy one."""
    values = {target.name: target.index for target in clean.targets if not target.lesion}
    found = []
    for target in noisy.targets:
        if target.lesion or target.name not in values:
            continue
        middle = np.array([(side.start + side.stop) // 2 for side in target.box])
        at = np.full(3, window_size // 2)
        cuts = [
            WindowCut(study, middle, at, spacing_mm=settings.spacing_mm, size=window_size) for study in (noisy, clean)
        ]
        found.append(
            KnownTarget(
                normalise_window(cuts[0].uptake(), settings)[None],
                cuts[0].masks([target.index])[0],
                cuts[1].masks([values[target.name]])[0],
            )
        )
    return found
