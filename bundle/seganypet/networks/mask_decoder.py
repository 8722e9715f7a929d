"""Embedding and prompts to mask logits: the released checkpoints' mask decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import MLP, LayerNorm3d
from .two_way_transformer import TwoWayTransformer


class MaskDecoder(nn.Module):
    """Mask logits from an image embedding and prompts. Parameter names are the released checkpoints'.

    Mask 0 is the answer. Masks 1 to 3 and the predicted IoU are computed by `decode_all` alone: nothing trained their
    heads, and the IoU of a released checkpoint means nothing.

    Args:
        transformer: exchange between tokens and image.
        transformer_dim: channels of tokens and image.
        num_multimask_outputs: masks beside mask 0.
        iou_head_depth: linear layers of the IoU head.
        iou_head_hidden_dim: its hidden width.
    """

    def __init__(
        self,
        transformer: TwoWayTransformer,
        *,
        transformer_dim: int = 384,
        num_multimask_outputs: int = 3,
        iou_head_depth: int = 3,
        iou_head_hidden_dim: int = 256,
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.num_masks = num_multimask_outputs + 1
        self.iou_token = nn.Embedding(1, transformer_dim)
        self.mask_tokens = nn.Embedding(self.num_masks, transformer_dim)
        coarse, fine = transformer_dim // 4, transformer_dim // 8
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose3d(transformer_dim, coarse, kernel_size=2, stride=2),
            LayerNorm3d(coarse),
            nn.GELU(),
            nn.ConvTranspose3d(coarse, fine, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(transformer_dim, transformer_dim, transformer_dim, fine) for _ in range(self.num_masks)
        )
        self.iou_prediction_head = MLP(transformer_dim, *[iou_head_hidden_dim] * (iou_head_depth - 1), self.num_masks)

    def forward(self, embedding: Tensor, dense_pe: Tensor, tokens: Tensor, dense_prompt: Tensor) -> Tensor:
        """Logits of mask 0.

        Args:
            embedding: image embedding, [B, C, D, H, W].
            dense_pe: position encoding of its grid, [1, C, D, H, W].
            tokens: tokens of the clicks, [B, N, C].
            dense_prompt: embedding of the mask prompt, [B, C, D, H, W].

        Returns:
            [B, 1, 4 D, 4 H, 4 W].
        """
        mask_tokens, upscaled, _ = self._exchange(embedding, dense_pe, tokens, dense_prompt)
        return self._masks(mask_tokens[:, :1], upscaled)

    def decode_all(
        self, embedding: Tensor, dense_pe: Tensor, tokens: Tensor, dense_prompt: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits of all masks, [B, 4, 4 D, 4 H, 4 W], and their predicted IoU, [B, 4]; arguments as `forward`."""
        mask_tokens, upscaled, iou_token = self._exchange(embedding, dense_pe, tokens, dense_prompt)
        return self._masks(mask_tokens, upscaled), self.iou_prediction_head(iou_token)

    def _exchange(
        self, embedding: Tensor, dense_pe: Tensor, tokens: Tensor, dense_prompt: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mask tokens [B, masks, C], upscaled image [B, C / 8, 4 D, 4 H, 4 W] and IoU token [B, C]."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])  # [1 + masks, C]
        tokens = torch.cat([own.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        image = (embedding + dense_prompt).flatten(2).transpose(1, 2)  # [B, V, C]
        position = dense_pe.flatten(2).transpose(1, 2)  # [1, V, C]
        tokens, image = self.transformer(image, position, tokens)
        upscaled = self.output_upscaling(image.transpose(1, 2).unflatten(2, embedding.shape[2:]))
        return tokens[:, 1 : 1 + self.num_masks], upscaled, tokens[:, 0]

    def _masks(self, mask_tokens: Tensor, upscaled: Tensor) -> Tensor:
        """Each mask token's hyper-network gives the weights with which the upscaled channels sum to its mask."""
        weights = torch.stack(
            [self.output_hypernetworks_mlps[index](mask_tokens[:, index]) for index in range(mask_tokens.shape[1])],
            dim=1,
        )  # [B, masks, C / 8]
        return (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
