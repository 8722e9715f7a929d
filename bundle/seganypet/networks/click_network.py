"""What every network here is to the rooms above: encode a window once, decode its clicks."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn

from .settings import NetworkSettings, Rung


class ClickNetwork(nn.Module, ABC):
    """A network that answers clicks on a window.

    Attributes:
        settings: what its weights were, or will be, trained with.
        window_size: voxels along each axis of its image, S.
        logit_stride: voxels per logit along each axis; its logits have L = S / logit_stride cells.
    """

    settings: NetworkSettings
    window_size: int
    logit_stride: int

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The ladder, finest first; the last is the window of `window_size` at the settings' `spacing_mm`."""
        base = Rung(self.settings.spacing_mm, self.window_size, self.settings.placement)
        return (*self.settings.finer, base)

    def rung_of(self, window_size: int) -> int:
        """Which rung a window of this size belongs to.

        Raises:
            ValueError: none has such windows.
        """
        sizes = [rung.window_size for rung in self.rungs]
        if window_size not in sizes:
            raise ValueError(f"windows have {' or '.join(map(str, sizes))} voxels along each axis, got {window_size}")
        return sizes.index(window_size)

    @abstractmethod
    def encode(self, image: Tensor) -> Tensor:
        """[B, 1, S, S, S] normalised → the embedding, [B, ...], all that no click changes."""

    @abstractmethod
    def decode(
        self,
        embedding: Tensor,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        mask_logits: Tensor | None = None,
    ) -> Tensor:
        """Embedding, points [B, N, 3] in window voxels with labels [B, N], previous logits → [B, 1, L, L, L]."""

    def decode_close_up(self, embedding: Tensor, *prompts: Tensor | None) -> Tensor:
        """As `decode`, of a window of the finest rung that looks at a part of a large target."""
        return self.decode(embedding, *prompts)

    def forward(
        self,
        image: Tensor,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Full-resolution logits of one pass.

        Args:
            image: [B, 1, S, S, S], normalised.
            points: as in `decode`.
            point_labels: as in `decode`.
            mask: previous low-resolution logits, [B, 1, L, L, L]; None stands for the all-zero prompt with which a
                first click is trained (for vit_b's `decode`, None is no mask prompt at all).

        Returns:
            [B, 1, S, S, S].
        """
        if mask is None:
            mask = image.new_zeros(image.shape[0], 1, *[n // self.logit_stride for n in image.shape[2:]])
        low_res = self.decode(self.encode(image), points, point_labels, mask)
        if self.logit_stride == 1:
            return low_res
        return F.interpolate(low_res, size=image.shape[2:], mode="trilinear", align_corners=False)
