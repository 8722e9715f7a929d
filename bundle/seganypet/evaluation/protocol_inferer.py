"""The click protocol as a MONAI inferer: it clicks where the answer is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from seganypet.clicks import Click, centre_click
from seganypet.inference.click_inferer import ClickInferer


class ClickProtocolInferer(Inferer):
    """Clicks the middle of the largest error, segments, and again.

    Args:
        clicks: per target.
        inferer: answers them.
    """

    def __init__(self, clicks: int = 5, inferer: ClickInferer | None = None) -> None:
        super().__init__()
        self.clicks = clicks
        self.inferer = inferer or ClickInferer()

    def __call__(  # type: ignore[override]  # MONAI's own signature is "anything"
        self, inputs: Tensor, network: nn.Module, targets: Tensor, *_: Any, **__: Any
    ) -> Tensor:
        """The masks after every click.

        Args:
            inputs: [B, 1, I, J, K] uptake; a MetaTensor brings the affine.
            network: of `seganypet.networks`.
            targets: [B, 1, I, J, K] bool.

        Returns:
            [B, 1, clicks, I, J, K] uint8; where nothing is wrong any more the last mask is repeated.
        """
        affine = np.asarray(getattr(inputs, "affine", np.eye(4)), dtype=float)
        affines = affine if affine.ndim == 3 else [affine] * len(inputs)
        answers = []
        for image, target, one in zip(inputs.split(1), targets[:, 0].cpu().numpy(), affines, strict=True):
            spacing = np.linalg.norm(one[:3, :3], axis=0)
            made: list[Click] = []
            masks = [np.zeros_like(target)]
            for _click in range(self.clicks):
                click = centre_click(masks[-1], target, (float(spacing[0]), float(spacing[1]), float(spacing[2])))
                if click is not None:
                    made.append(click)
                    masks.append(self.inferer(image, network, [made])[0, 0].cpu().numpy() > 0)
                else:
                    masks.append(masks[-1])
            answers.append(torch.from_numpy(np.stack(masks[1:])).to(torch.uint8))
        return torch.stack(answers)[:, None]
