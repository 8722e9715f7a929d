"""Click rollouts: encode a window once, then click, decode and click again where the answer is wrong."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seganypet.clicks import draw_error_click, draw_first_click
from seganypet.networks.click_network import ClickNetwork
from seganypet.networks.precision import DTYPES, log_precision
from seganypet.training.drawn_prompts import DRAWINGS, draw_prompt

CLICK_DRAWINGS = ("reader", "error")
FIRST_CLICKS = 3  # at most, on a target before its close-up


class Around(NamedTuple):
    """The windows of the coarsest rung that a batch of close-ups lies in.

    Args:
        image: [B, 1, C, C, C], normalised.
        targets: [B, T, C, C, C] bool.
        at: [B, 3] voxels, fractional, of the close-ups' middles.
    """

    image: Tensor
    targets: Tensor
    at: Tensor


class ClickRollout(nn.Module):
    """What a trainer trains and DDP wraps: one forward does all clicks, so that gradients stay synchronised.

    Every target gets its own clicks on the shared encoding. After the drawn clicks one step without any click may
    follow, on the last logits with half a window wiped out: what a neighbouring window is asked at inference, which
    gets the part of the mask that the first window saw. On the coarsest rung of a ladder some rollouts begin with what
    the finer rung handed over: an imperfect answer in a small cube around the first click. A close-up's rollout begins
    with the network's own answer, to clicks of its own, in the window that it lies in.

    Args:
        network: `encode` and `decode` as the networks package defines them.
        clicks: number of clicks per target.
        random_count: draw the number of clicks of each batch from 1 to `clicks` instead.
        gradient_share: how often an intermediate decode is trained; the first and the last always are. The others only
            lead to the next click and cost no backward pass.
        mask_only_share: how often the step without clicks is added, on the coarsest rung.
        handover_share: how often a rollout on the coarsest rung begins with a finer rung's answer.
        drawn_share: how often a training rollout begins with a box, a lasso or a stroke instead of a click.
        click_drawing: "reader", as `draw_first_click` and `draw_error_click` draw clicks; or "error", the released
            code's simulation: any voxel of the error region, which before the first click is the target.
        precision: what the network computes in: "float32", "bfloat16" or "float16" under autocast, or "auto", what its
            device computes natively. float16 needs a gradient scaler, which MONAI's trainer has on CUDA.
        seed: of the run.

    Attributes:
        iteration: which iteration this is; how many clicks are made and which decodes train follows from (seed,
            iteration), whatever the batch, so that all processes do the same.
        clicks_made: points [B, T, N, 3] and labels [B, T, N] of the last call, for pictures.

    Raises:
        ValueError: another precision or way of drawing clicks.
    """

    clicks_made: tuple[Tensor, Tensor]

    def __init__(
        self,
        network: ClickNetwork,
        *,
        clicks: int = 5,
        random_count: bool = True,
        gradient_share: float = 0.0,
        mask_only_share: float = 0.2,
        handover_share: float = 0.5,
        drawn_share: float = 0.0,
        click_drawing: str = "reader",
        precision: str = "float32",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network = network
        self.clicks = clicks
        self.random_count = random_count
        self.gradient_share = gradient_share
        self.mask_only_share = mask_only_share
        if click_drawing not in CLICK_DRAWINGS:
            raise ValueError(f"click_drawing must be one of {', '.join(CLICK_DRAWINGS)}, got {click_drawing!r}")
        self.handover_share = handover_share
        self.drawn_share = drawn_share
        self.click_drawing = click_drawing
        self.precision = log_precision(precision, next(network.parameters(), torch.zeros(())).device)
        self.seed = seed
        self.iteration = 0

    def forward(
        self,
        image: Tensor,
        targets: Tensor,
        seeds: Tensor,
        first_click: Tensor | None = None,
        around: Around | None = None,
    ) -> Tensor:
        """Logits after every click.

        Args:
            image: [B, 1, S, S, S], normalised.
            targets: [B, T, S, S, S] bool, which the clicks are drawn from.
            seeds: [B] int64; clicks follow from them alone.
            first_click: [B, T, 3] window voxels of the first clicks, −1 where they are drawn; None draws them all.
            around: of close-ups.

        Returns:
            [B, T, R, S, S, S] logits in the order of clicking: of the trained decodes in training mode, where R varies,
            and of all `clicks` in evaluation mode.
        """
        batch, count, *size = targets.shape
        uniform = draw_uniform(seeds, count, self.clicks + 1).to(image.device)  # [B·T, clicks + 1, 2]
        plan = torch.Generator().manual_seed(plan_seed(self.seed, self.iteration))
        steps = self.clicks
        if self.training and self.random_count:
            steps = int(torch.randint(1, self.clicks + 1, (), generator=plan))
        target = targets.reshape(batch * count, 1, *size)
        repeated = image.repeat_interleave(count, 0)
        with self._autocast(image):
            embedding = self.network.encode(image).repeat_interleave(count, 0)
        points = image.new_zeros((batch * count, 0, 3))
        labels = image.new_zeros((batch * count, 0))
        stride = self.network.logit_stride
        low_res = image.new_zeros((batch * count, 1, *(n // stride for n in size)))
        coarsest = size[-1] == self.network.window_size
        logits: list[Tensor] = []
        if around is not None:
            low_res, points, labels = self._answered_around(around, size[-1], seeds, plan)
        current = self._full_size(low_res, size)
        drawn_share = self.drawn_share if self.training and around is None else 0.0
        drawn = drawn_share > 0 and float(torch.rand((), generator=plan)) < drawn_share
        for step in range(steps):
            if step == 0 and drawn:
                kind = DRAWINGS[int(torch.randint(len(DRAWINGS), (), generator=plan))]
                point, mask = draw_prompt(kind, target, plan)
                label = labels.new_ones(point.shape[:2])
                low_res = nn.functional.avg_pool3d(mask, stride) if stride > 1 else mask
            elif step == 0 and around is not None:
                point, label = draw_error_click(near_middle(current > 0, target), target, uniform[:, 0])
            elif step == 0:
                point, label = self._first_click(target, repeated, uniform[:, 0]), labels.new_ones(batch * count)
                if first_click is not None:
                    given = first_click.reshape(batch * count, 3).to(point)
                    point = torch.where(given >= 0, given, point)
                cells = self._handed_over_cells() if self.training and coarsest else 0
                if cells and torch.rand((), generator=plan) < self.handover_share:
                    low_res = handed_over(target, point, cells, stride, plan)
            else:
                deep_share = 0.75 if self.click_drawing == "reader" else 0.0
                point, label = draw_error_click(current > 0, target, uniform[:, step], deep_share)
            points = torch.cat([points, point.reshape(batch * count, -1, 3)], 1)
            labels = torch.cat([labels, label.reshape(batch * count, -1)], 1)
            newest = slice(-1, None) if self.network.settings.points == "newest" else slice(None)
            keeps = step in (0, steps - 1) or bool(torch.rand((), generator=plan) < self.gradient_share)
            known = points[:, newest], labels[:, newest], low_res.detach()
            low_res = self._decode(embedding, *known, gradient=keeps, close_up=around is not None)
            current = self._full_size(low_res, size)
            if keeps or not self.training:
                logits.append(current)
        if self.training and coarsest and torch.rand((), generator=plan) < self.mask_only_share:
            wiped = wipe_half(low_res.detach(), plan)
            low_res = self._decode(embedding, None, None, wiped, gradient=True)
            logits.append(self._full_size(low_res, size))
        self.clicks_made = points.reshape(batch, count, -1, 3), labels.reshape(batch, count, -1)
        return torch.cat(logits, 1).reshape(batch, count, len(logits), *size)

    @torch.no_grad()
    def _answered_around(
        self, around: Around, size: int, seeds: Tensor, plan: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What is known of close-ups: logits [B·T, 1, S, S, S], and the clicks before, points and labels."""
        batch, count, *whole = around.targets.shape
        target = around.targets.reshape(batch * count, 1, *whole)
        clicks = int(torch.randint(1, FIRST_CLICKS + 1, (), generator=plan))
        uniform = draw_uniform(seeds ^ 1, count, clicks).to(target.device)
        with self._autocast(around.image):
            embedding = self.network.encode(around.image).repeat_interleave(count, 0)
        logits = around.image.new_zeros((batch * count, 1, *whole))
        image = around.image.repeat_interleave(count, 0)
        points, labels = image.new_zeros((batch * count, 0, 3)), image.new_zeros((batch * count, 0))
        for step in range(clicks):
            if step:
                point, label = draw_error_click(logits > 0, target, uniform[:, step])
            else:
                point, label = self._first_click(target, image, uniform[:, 0]), labels.new_ones(batch * count)
            points, labels = torch.cat([points, point[:, None]], 1), torch.cat([labels, label[:, None]], 1)
            logits = self._decode(embedding, points, labels, logits, gradient=False)
        scale = self.network.rungs[0].spacing_mm / self.network.rungs[-1].spacing_mm
        at = around.at.repeat_interleave(count, 0)[:, None]  # [B·T, 1, 3]
        steps = (torch.arange(size, device=at.device) - (size - 1) / 2) * scale
        places = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1) + at[:, None, None]
        grid = ((places + 0.5) / whole[0] * 2 - 1).flip(-1)
        low_res = nn.functional.grid_sample(logits, grid, align_corners=False, padding_mode="border")
        points = (points - at) / scale + (size - 1) / 2
        seen = ((points >= 0) & (points <= size - 1)).all(-1)
        return low_res, points.clamp(0, size - 1), torch.where(seen, labels, -torch.ones_like(labels))

    def _first_click(self, target: Tensor, image: Tensor, uniform: Tensor) -> Tensor:
        if self.click_drawing == "reader":
            return draw_first_click(target, image, uniform)
        return draw_error_click(torch.zeros_like(target), target, uniform, 0.0)[0]

    def _handed_over_cells(self) -> int:
        """Logit cells along each axis that the next finer rung's window covers; 0 without a ladder."""
        settings = self.network.settings
        if not settings.finer:
            return 0
        finer = settings.finer[-1]
        return round(finer.window_size * finer.spacing_mm / settings.spacing_mm / self.network.logit_stride)

    def _decode(
        self,
        embedding: Tensor,
        points: Tensor | None,
        labels: Tensor | None,
        low_res: Tensor,
        *,
        gradient: bool,
        close_up: bool = False,
    ) -> Tensor:
        decode = self.network.decode_close_up if close_up else self.network.decode
        with torch.set_grad_enabled(torch.is_grad_enabled() and gradient), self._autocast(embedding):
            return decode(embedding, points, labels, low_res).float()

    def _autocast(self, on: Tensor) -> torch.autocast:
        reduced = DTYPES[self.precision if self.precision != "float32" else "bfloat16"]
        return torch.autocast(on.device.type, reduced, enabled=self.precision != "float32")

    @staticmethod
    def _full_size(low_res: Tensor, size: list[int]) -> Tensor:
        if list(low_res.shape[2:]) == list(size):
            return low_res
        return nn.functional.interpolate(low_res, size=size, mode="trilinear", align_corners=False)


def draw_uniform(seeds: Tensor, targets: int, steps: int) -> Tensor:
    """[B·T, steps, 2] numbers in [0, 1) that follow from each sample's seed, whatever batch it stands in."""
    numbers = [
        torch.rand((targets, steps, 2), generator=torch.Generator().manual_seed(int(seed))) for seed in seeds.tolist()
    ]
    return torch.cat(numbers)


def plan_seed(seed: int, iteration: int) -> int:
    """A number for a torch generator that follows from both."""
    return int(np.random.default_rng([seed, iteration]).integers(2**62))


def near_middle(prediction: Tensor, target: Tensor) -> Tensor:
    """A prediction [B, 1, S, S, S] that is wrong in the middle half of the window alone, where it is wrong there."""
    quarter = target.shape[-1] // 4
    middle = torch.zeros_like(target)
    middle[..., quarter:-quarter, quarter:-quarter, quarter:-quarter] = True
    wrong = (prediction != target) & middle
    anywhere = ~wrong.flatten(1).any(1).view(-1, 1, 1, 1, 1)
    return torch.where(middle | anywhere, prediction, target)


HANDED_OVER_GAIN = 8.0  # about what a sure answer's logits are over its share of a voxel


def handed_over(target: Tensor, points: Tensor, cells: int, stride: int, generator: torch.Generator) -> Tensor:
    """What a finer rung's window would have handed over: the target around the click, imperfectly.

    Made from the truth rather than by running the finer rung, which would double a step's cost: smoothed by a cell,
    disturbed by noise over some five cells, of a certainty drawn for each batch; 0, "nothing known", outside.

    Args:
        target: [B, 1, S, S, S] bool.
        points: [B, 3] window voxels of the first clicks, the finer windows' centres.
        cells: logit cells that the finer window covers along each axis.
        stride: voxels per logit cell.
        generator: of the noise.

    Returns:
        [B, 1, L, L, L] logits.
    """
    share = nn.functional.avg_pool3d(target.float(), stride) if stride > 1 else target.float()
    share = nn.functional.avg_pool3d(share, 3, stride=1, padding=1)
    length = share.shape[-1]
    lattice = torch.randn((share.shape[0], 1, *[max(2, length // 5)] * 3), generator=generator).to(share)
    noise = nn.functional.interpolate(lattice, size=share.shape[2:], mode="trilinear", align_corners=True)
    certainty, error = torch.rand(2, generator=generator).tolist()
    logits = HANDED_OVER_GAIN * (0.3 + certainty) * (share - 0.5 + 0.4 * error * noise)
    centre = (points / stride).round().to(share)  # [B, 3]
    place = torch.arange(length, device=share.device)
    for axis in range(3):
        near = (place - centre[:, axis, None]).abs() <= cells / 2  # [B, L]
        logits = logits * near.view(-1, 1, *[length if a == axis else 1 for a in range(3)])
    return logits


def wipe_half(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Logits [B, 1, L, L, L] with one half along a random axis set to 0, "nothing known"."""
    axis, upper = 2 + int(torch.randint(3, (), generator=generator)), bool(torch.randint(2, (), generator=generator))
    half = logits.shape[axis] // 2
    wiped = logits.clone()
    wiped.narrow(axis, half if upper else 0, half).zero_()
    return wiped
