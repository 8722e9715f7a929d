"""Clicks and the previous answer as embeddings: the released checkpoints' prompt encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .layers import LayerNorm3d


class PromptEncoder(nn.Module):
    """Points to tokens and mask logits to a dense embedding. Parameter names are the released checkpoints'.

    Args:
        embed_dim: channels of both embeddings; a multiple of 3.
        image_embedding_size: grid of the image embedding.
        input_image_size: voxels of the image along each tensor axis.
        mask_in_chans: channels of the mask prompt before its last layer.

    Raises:
        ValueError: `embed_dim` is no multiple of 3.
    """

    def __init__(
        self,
        *,
        embed_dim: int = 384,
        image_embedding_size: Sequence[int] = (8, 8, 8),
        input_image_size: Sequence[int] = (128, 128, 128),
        mask_in_chans: int = 16,
    ) -> None:
        super().__init__()
        if embed_dim % 3:
            raise ValueError(f"embed_dim must be a multiple of 3 (one part for each of sin, cos, sin), got {embed_dim}")
        self.embedding_size = tuple(image_embedding_size)
        self.image_size = tuple(input_image_size)
        self.pe_layer = RandomPositionEncoding(embed_dim // 3)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(2))  # negative, positive
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv3d(1, mask_in_chans // 4, kernel_size=2, stride=2),
            LayerNorm3d(mask_in_chans // 4),
            nn.GELU(),
            nn.Conv3d(mask_in_chans // 4, mask_in_chans, kernel_size=2, stride=2),
            LayerNorm3d(mask_in_chans),
            nn.GELU(),
            nn.Conv3d(mask_in_chans, embed_dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, embed_dim)

    def encode_points(self, points: Tensor | None, point_labels: Tensor | None, batch: int) -> Tensor:
        """Tokens of the clicks.

        Args:
            points: [B, N, 3] voxel indices (dim0, dim1, dim2) of the image tensor, or None.
            point_labels: [B, N], 1 positive, 0 negative, −1 not a point; None with `points`.
            batch: B, for the case without points.

        Returns:
            [B, N + 1, embed_dim], the last one a pad point that the decoder was trained with; without points
            [B, 0, embed_dim], and no pad.
        """
        pad = self.not_a_point_embed.weight  # [1, C]
        if points is None or point_labels is None:
            return pad.new_zeros(batch, 0, pad.shape[-1])
        size = torch.tensor(self.image_size, dtype=torch.float32, device=points.device)
        # The second trap: clicks enter as (dim0, dim1, dim2), the dense grid as (dim1, dim0, dim2); see dense_pe.
        position = self.pe_layer((points.float() + 0.5) / size)  # [B, N, C]
        label = point_labels.unsqueeze(-1)  # [B, N, 1]
        negative, positive = (embedding.weight for embedding in self.point_embeddings)
        tokens = torch.where(label == 1, position + positive, position + negative)
        tokens = torch.where(label == -1, pad, tokens)
        return torch.cat([tokens, pad.expand(batch, 1, -1)], dim=1)

    def encode_mask(self, mask_logits: Tensor | None, batch: int) -> Tensor:
        """Dense embedding of the previous answer.

        The third trap: the released weights saw their first click with an all-zero mask prompt, never without one.
        `None` gives `no_mask_embed`, which no training has touched; pass zeros for a first click.

        Args:
            mask_logits: [B, 1, 4 D, 4 H, 4 W] raw logits over the embedding grid's D, H, W, or None.
            batch: B, for the case without a mask.

        Returns:
            [B, embed_dim, D, H, W].
        """
        if mask_logits is None:
            return self.no_mask_embed.weight.view(1, -1, 1, 1, 1).expand(batch, -1, *self.embedding_size)
        return self.mask_downscaling(mask_logits)

    def dense_pe(self) -> Tensor:
        """Position encoding of the embedding grid, [1, embed_dim, D, H, W].

        The second trap: it is encoded as (dim1, dim0, dim2), so that cell (i, j, k) holds what a click in cell
        (j, i, k) gets. The weights were trained with it.
        """
        device = self.pe_layer.positional_encoding_gaussian_matrix.device
        axes = [(torch.arange(size, dtype=torch.float32, device=device) + 0.5) / size for size in self.embedding_size]
        dim0, dim1, dim2 = torch.meshgrid(*axes, indexing="ij")
        return self.pe_layer(torch.stack([dim1, dim0, dim2], dim=-1)).movedim(-1, 0).unsqueeze(0)


class RandomPositionEncoding(nn.Module):
    """Sine, cosine and sine again of one random projection of a position (after Tancik et al., NeurIPS 2020).

    Args:
        features: columns of the projection; an encoding has three times as many channels.
    """

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(3, features))

    def forward(self, position: Tensor) -> Tensor:
        """Encoding of positions.

        Args:
            position: [..., 3] in [0, 1].

        Returns:
            [..., 3 × features], float32 also under autocast: a click's place needs more than 8 bits.
        """
        with torch.autocast(position.device.type, enabled=False):
            angle = 2 * math.pi * ((2 * position - 1) @ self.positional_encoding_gaussian_matrix.float())
        sine = angle.sin()
        return torch.cat([sine, angle.cos(), sine], dim=-1)
