"""The click segmenter in MONAI workflows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from seganypet.clicks import Click
from seganypet.clicks.reading import read_prompts_as_typed
from seganypet.inference.segmenter import ClickSegmenter
from seganypet.inference.window_encoder import weights_hash
from seganypet.pet import PetVolume

GIB = 2**30


class ClickInferer(Inferer):
    """Whole volumes and their clicks → masks, for the configs' evaluators.

    Windows, resampling and memory are the segmenter's own; it is made again when the network's weights change, so that
    validation during training never meets old embeddings.

    Args:
        cache_bytes: bound on remembered embeddings.
        max_windows: most windows that one target is followed through.
        units: what the voxels are, see `PetVolume`.
    """

    def __init__(self, *, cache_bytes: int = 2 * GIB, max_windows: int = 12, units: str = "SUVbw") -> None:
        super().__init__()
        self.cache_bytes, self.max_windows, self.units = cache_bytes, max_windows, units
        self._segmenter: ClickSegmenter | None = None

    def __call__(  # type: ignore[override]  # MONAI's own signature is "anything"
        self, inputs: Tensor, network: nn.Module, clicks: Sequence[Sequence[Click] | Any], *_: Any, **__: Any
    ) -> Tensor:
        """Masks of a batch of volumes.

        Args:
            inputs: [B, 1, I, J, K] uptake on the volumes' own grids; a MetaTensor brings their affine, without one
                voxels count as 1 mm.
            network: of `seganypet.networks`, may be wrapped by DDP.
            clicks: for each volume its clicks, in any form `read_prompts_as_typed` reads.

        Returns:
            [B, 1, I, J, K] float32, 1 in the mask and 0 elsewhere, on the inputs' device.

        Raises:
            ValueError: inputs of another shape, or as many lists of clicks as volumes are not given.
        """
        if inputs.ndim != 5 or inputs.shape[1] != 1:
            raise ValueError(f"inputs must be [B, 1, I, J, K], got {list(inputs.shape)}")
        if len(clicks) != len(inputs):
            raise ValueError(f"{len(inputs)} volumes need as many lists of clicks, got {len(clicks)}")
        segmenter = self._segmenter_of(getattr(network, "module", network))
        affine = np.asarray(getattr(inputs, "affine", np.eye(4)), dtype=float)
        affines = affine if affine.ndim == 3 else [affine] * len(inputs)
        masks = [
            segmenter.segment(PetVolume(np.asarray(image[0].cpu()), one, units=self.units), read_prompts_as_typed(each))
            for image, one, each in zip(inputs, affines, clicks, strict=True)
        ]
        return torch.from_numpy(np.stack(masks))[:, None].float().to(inputs.device)

    def _segmenter_of(self, network: nn.Module) -> ClickSegmenter:
        segmenter = self._segmenter
        same = segmenter is not None and segmenter.encoder.net is network and segmenter.settings == network.settings
        if segmenter is None or not same or segmenter.weights_hash != weights_hash(network):
            segmenter = ClickSegmenter(network, cache_bytes=self.cache_bytes, max_windows=self.max_windows)
            self._segmenter = segmenter
        return segmenter
