"""Training windows: where they lie, how they are deformed, which targets they train. Pure in (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from seganypet.clicks import draw_first_click
from seganypet.data.preprocessing import normalise_window
from seganypet.data.studies import WorkingStudy
from seganypet.data.targets import Target
from seganypet.data.window_cutting import WindowCut, draw_deformation, draw_noise
from seganypet.networks.settings import NetworkSettings, Rung

FEWEST_VOXELS = 4  # of a target inside a window for it to be trained there
DRAWN_FROM = 200_000  # voxels of a target's box that a first click is drawn from; larger boxes are thinned out
NO_CLICK = -1.0


class WindowDataset(Dataset):
    """Windows of working studies with the targets to click in them.

    A window is placed for a random target: on a rung whose windows stand on a grid of 50 % overlap a random voxel of it
    lies anywhere within the middle half; on a finer rung the first click is drawn here and is the window's centre. On a
    coarsest rung whose windows are centred on the first click (`vit_b`) a window is centred on the target's median
    voxel, but for up to a sixteenth of its side, and the rollout draws the click.

    A close-up is a window of the finest rung on the border of a target that is too large for it, with the window of the
    coarsest rung that it lies in: what a later click on such a target is answered in.

    Args:
        studies: from `LoadStudy`.
        settings: of the weights to train.
        rungs: the network's ladder, finest first.
        targets_per_window: how many targets share one encoding; a target is repeated (and clicked elsewhere) where the
            window holds fewer.
        windows_per_study: windows of each study in an epoch.
        finer_share: how many of an epoch's windows are of the finer rungs, shared evenly among those, close-ups aside.
        close_up_share: how many of an epoch's windows are close-ups; 0 without a ladder.
        lesion_share: how often the window is placed for a lesion, in a study that has lesions and organs, on the
            coarsest rung.
        finer_lesion_share: the same on the finer rungs.
        augment: random flips, rotation, scale, uptake and noise; off for validation.
        permuted_share: how many of the augmented windows have their axes permuted, as clients' that send z, y, x.
        flips_only: augment by flips along the three axes alone, as arXiv 2603.11627 and the released code do.
        seed: everything random follows from (seed, epoch, index).

    Raises:
        ValueError: no studies.
    """

    def __init__(
        self,
        studies: Sequence[WorkingStudy],
        settings: NetworkSettings,
        *,
        rungs: Sequence[Rung],
        targets_per_window: int = 3,
        windows_per_study: int = 4,
        finer_share: float = 0.75,
        close_up_share: float = 0.0,
        lesion_share: float = 0.5,
        finer_lesion_share: float = 0.8,
        augment: bool = True,
        permuted_share: float = 0.0,
        flips_only: bool = False,
        seed: int = 0,
    ) -> None:
        if len(studies) == 0:
            raise ValueError("no studies to cut windows from: the data list's section is empty")
        self.studies = studies
        self.settings = settings
        self.rungs = tuple(rungs)
        self.targets_per_window = targets_per_window
        self.windows_per_study = windows_per_study
        self.finer_share = finer_share
        self.close_up_share = close_up_share if len(self.rungs) > 1 else 0.0
        self.lesion_share = lesion_share
        self.finer_lesion_share = finer_lesion_share
        self.augment = augment
        self.permuted_share = permuted_share
        self.flips_only = flips_only
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next windows belong to; the same epoch gives the same windows."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.studies) * self.windows_per_study

    @cached_property
    def high_quality(self) -> np.ndarray:
        """[len(self)] bool, whether each window's labels were checked by an expert."""
        return np.tile([study.high_quality for study in self.studies], self.windows_per_study)

    @property
    def rung_of(self) -> np.ndarray:
        """[len(self)] which rung each window is of in this epoch; close-ups count as one more rung.

        Shares hold over all windows of an epoch, and a study's windows change rungs from epoch to epoch: one window of
        each study is of the finer rungs in two epochs of three where `finer_share` is 2/3.
        """
        return np.array([self._rung_number(index) for index in range(len(self))])

    def _rung_number(self, index: int) -> int:
        coarsest = len(self.rungs) - 1
        repeat, study = divmod(index, len(self.studies))
        turn = study * self.windows_per_study + repeat + (self.epoch if self.augment else 0)
        close_ups = int(turn * self.close_up_share + 1e-9)
        if int((turn + 1) * self.close_up_share + 1e-9) > close_ups:
            return len(self.rungs)
        turn -= close_ups
        before = int(turn * self.finer_share + 1e-9)  # turns of a finer rung so far
        if not coarsest or int((turn + 1) * self.finer_share + 1e-9) == before:
            return coarsest
        return before % coarsest

    def __getitem__(self, index: int) -> dict[str, Tensor | str]:
        """One window.

        Returns:
            image [1, S, S, S] float32, normalised; targets [T, S, S, S] bool; first_click [T, 3], where a target's
            first click is the window's centre, else −1; which [T, 2], of each target the study's number and its
            own in that; high_quality, a bool; seed, an int64 that clicks on this window are drawn from; name. Of a
            close-up also the window that it lies in: around [1, C, C, C], around_targets [T, C, C, C], and around_at
            [3], the voxel there of the close-up's middle.
        """
        random = np.random.default_rng([self.seed, self.epoch if self.augment else 0, index])
        study = self.studies[index % len(self.studies)]
        number = self._rung_number(index)
        if number == len(self.rungs):
            return self._close_up(index, study, random)
        rung = self.rungs[number]
        finer = rung != self.rungs[-1]
        anchor = self._choose_anchor(study.targets, self.finer_lesion_share if finer else self.lesion_share, random)
        cut, at = self._place_window(study, anchor, rung, finer, random)
        indices = self._choose_targets(study, anchor, cut.targets_near(), random)
        masks = cut.masks(indices)
        for n, mask in enumerate(masks):
            if not mask.any() and n:  # turned out of the window
                indices[n], masks[n] = indices[0], masks[0]
        first = torch.full((self.targets_per_window, 3), NO_CLICK)
        if finer:
            first[[n for n, target in enumerate(indices) if target == anchor.index][:1]] = torch.from_numpy(at).float()
        return {**self._item(index, cut, indices, random), "targets": masks, "first_click": first}

    def _item(
        self, index: int, cut: WindowCut, targets: Sequence[int], random: np.random.Generator
    ) -> dict[str, Tensor | str]:
        """What every window's item holds."""
        return {
            "image": normalise_window(cut.uptake(), self.settings)[None],
            "which": torch.tensor([(index % len(self.studies), target) for target in targets]),
            "high_quality": torch.tensor(cut.study.high_quality),
            "seed": torch.tensor(int(random.integers(2**62))),
            "name": cut.study.name,
        }

    def _close_up(self, index: int, study: WorkingStudy, random: np.random.Generator) -> dict[str, Tensor | str]:
        fine, coarse, count = self.rungs[0], self.rungs[-1], self.targets_per_window
        reach_mm = fine.window_size * fine.spacing_mm / 2
        large = [target for target in study.targets if _longest_side_mm(study, target) > reach_mm]
        anchor = self._choose_anchor(large or study.targets, self.lesion_share, random)
        around, _ = self._place_window(study, anchor, coarse, False, random)
        mask = around.masks([anchor.index])
        middle = _on_border(mask[0], int(reach_mm / coarse.spacing_mm), random)
        noise = draw_noise(random, fine.window_size)
        cut = around.close_up(middle, fine.spacing_mm, fine.window_size, noise)
        return {
            **self._item(index, cut, [anchor.index] * count, random),
            "targets": cut.masks([anchor.index]).expand(count, -1, -1, -1),
            "first_click": torch.full((count, 3), NO_CLICK),
            "around": normalise_window(around.uptake(), self.settings)[None],
            "around_targets": mask.expand(count, -1, -1, -1),
            "around_at": torch.from_numpy(middle).float(),
        }

    @staticmethod
    def _choose_anchor(targets: Sequence[Target], lesion_share: float, random: np.random.Generator) -> Target:
        lesions = [target for target in targets if target.lesion]
        organs = [target for target in targets if not target.lesion]
        wants_lesion = random.random() < lesion_share
        pool = lesions if lesions and (wants_lesion or not organs) else organs
        return pool[random.integers(len(pool))]

    def _place_window(
        self, study: WorkingStudy, anchor: Target, rung: Rung, finer: bool, random: np.random.Generator
    ) -> tuple[WindowCut, np.ndarray]:
        """Where the window is cut, and [3] the window voxel that its centre point lies at."""
        size, spacing = rung.window_size, np.array(study.spacing_mm)
        start = np.array([axis.start for axis in anchor.box])
        at = np.full(3, (size - 1) / 2)
        if finer:
            centre = start + first_click_in(study, anchor, random)
            at = size // 2 + random.uniform(-0.5, 0.5, 3)  # the window's origin is a whole working voxel
        else:
            inside = np.argwhere((study.target_map[anchor.box] == anchor.index).numpy())
            shift = random.uniform(-1, 1, 3) * size / 4 * rung.spacing_mm / spacing
            if rung.placement == "grid":
                centre = start + inside[random.integers(len(inside))] + shift
            else:
                centre = start + np.median(inside, 0) + shift / 4
        deforms = self.augment and not self.flips_only
        flips = np.flatnonzero(random.integers(2, size=3)).tolist() if self.augment and self.flips_only else []
        cut = WindowCut(
            study,
            centre,
            at,
            spacing_mm=rung.spacing_mm,
            size=size,
            deformation=draw_deformation(random, size, self.permuted_share) if deforms else None,
            flipped=flips,
        )
        at = np.array([size - 1 - p if axis in flips else p for axis, p in enumerate(at)])
        return cut, at

    def _choose_targets(
        self, study: WorkingStudy, anchor: Target, near: dict[int, int], random: np.random.Generator
    ) -> list[int]:
        here = [t for t in study.targets if near.get(t.index, 0) >= FEWEST_VOXELS and t != anchor]
        chosen = [anchor.index]
        if here:
            weights = np.array([2.0 if target.lesion else 1.0 for target in here])
            count = min(len(here), self.targets_per_window - 1)
            picks = random.choice(len(here), size=count, replace=False, p=weights / weights.sum())
            chosen += [here[pick].index for pick in picks]
        return [chosen[n % len(chosen)] for n in range(self.targets_per_window)]


def _longest_side_mm(study: WorkingStudy, target: Target) -> float:
    return max((side.stop - side.start) * mm for side, mm in zip(target.box, study.spacing_mm, strict=True))


def _on_border(mask: Tensor, margin: int, random: np.random.Generator) -> np.ndarray:
    """[3] a place near a target's border, `margin` voxels or more from the window's faces, a third of that off it."""
    size, share = mask.shape[-1], mask[None, None].float()
    border = mask & (-F.max_pool3d(-share, 3, stride=1, padding=1) < 1)[0, 0]
    inner = torch.zeros_like(border)
    inner[margin:-margin, margin:-margin, margin:-margin] = True
    places = next(found for found in (border & inner, mask & inner, inner) if found.any()).nonzero()
    place = places[random.integers(len(places))].numpy() + random.uniform(-1, 1, 3) * margin / 3
    return place.clip(margin, size - 1 - margin)


def first_click_in(study: WorkingStudy, target: Target, random: np.random.Generator) -> np.ndarray:
    """[3] where a reader first clicks on a target, in voxels of its box, as `draw_first_click` draws it."""
    voxels = int(np.prod([axis.stop - axis.start for axis in target.box]))
    thin = max(1, round((voxels / DRAWN_FROM) ** (1 / 3)))
    mask = F.pad((study.target_map[target.box] == target.index)[::thin, ::thin, ::thin], (1,) * 6)
    uptake = F.pad(study.uptake[target.box][::thin, ::thin, ::thin].float(), (1,) * 6)
    uniform = torch.from_numpy(random.random((1, 2)))
    if not mask.any():  # a thin target between the voxels that are looked at
        inside = np.argwhere((study.target_map[target.box] == target.index).numpy())
        return inside[random.integers(len(inside))].astype(float)
    return (draw_first_click(mask[None, None], uptake[None, None], uniform)[0].double().numpy() - 1) * thin
