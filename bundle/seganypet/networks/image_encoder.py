"""The released checkpoints' image encoder: a vision transformer over 16³ patches, depth 12 at full size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .layers import FeedForward, LayerNorm3d, activation_named
from .window_attention import WindowAttention


class ImageEncoder(nn.Module):
    """Image to embedding. Parameter names are the released checkpoints'; the defaults are their numbers.

    The ICCV paper's appendix gives depth 16; the released weights have 12.

    Args:
        img_size: voxels along each axis of the image, S.
        patch_size: voxels along each axis of a patch; divides `img_size`.
        in_chans: image channels.
        embed_dim: channels of a token.
        depth: transformer blocks.
        num_heads: attention heads; they divide `embed_dim`.
        mlp_ratio: hidden width of the feed-forward layers over `embed_dim`.
        out_chans: channels of the embedding.
        qkv_bias: whether the qkv projections have a bias.
        norm_eps: epsilon of the blocks' layer norms.
        act: activation of the feed-forward layers, "GELU(erf)" or "ReLU".
        use_abs_pos: whether a learned position is added to the tokens.
        use_rel_pos: whether attention has a relative-position bias.
        window_size: tokens along each axis of an attention window; 0 for global attention everywhere.
        global_attn_indexes: blocks that attend globally.

    Raises:
        ValueError: `patch_size` does not divide `img_size`, or `num_heads` does not divide `embed_dim`.
    """

    pos_embed: nn.Parameter | None

    def __init__(
        self,
        *,
        img_size: int = 128,
        patch_size: int = 16,
        in_chans: int = 1,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        out_chans: int = 384,
        qkv_bias: bool = True,
        norm_eps: float = 1e-6,
        act: str = "GELU(erf)",
        use_abs_pos: bool = True,
        use_rel_pos: bool = True,
        window_size: int = 14,
        global_attn_indexes: Sequence[int] = (2, 5, 8, 11),
    ) -> None:
        super().__init__()
        if img_size % patch_size:
            raise ValueError(f"patch_size must divide img_size {img_size}, got {patch_size}")
        self.img_size = img_size
        self.in_chans = in_chans
        grid = img_size // patch_size
        self.patch_embed = PatchEmbedding(in_chans, embed_dim, patch_size)
        self.register_parameter(
            "pos_embed", nn.Parameter(torch.zeros(1, grid, grid, grid, embed_dim)) if use_abs_pos else None
        )
        self.blocks = nn.ModuleList(
            Block(
                embed_dim,
                WindowAttention(
                    embed_dim,
                    num_heads,
                    grid if index in global_attn_indexes or not window_size else window_size,
                    qkv_bias=qkv_bias,
                    use_rel_pos=use_rel_pos,
                ),
                FeedForward(embed_dim, int(embed_dim * mlp_ratio), activation_named(act)),
                norm_eps,
            )
            for index in range(depth)
        )
        self.neck = nn.Sequential(
            nn.Conv3d(embed_dim, out_chans, kernel_size=1, bias=False),
            LayerNorm3d(out_chans),
            nn.Conv3d(out_chans, out_chans, kernel_size=3, padding=1, bias=False),
            LayerNorm3d(out_chans),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Embedding of an image.

        Args:
            image: [B, in_chans, S, S, S], normalised.

        Returns:
            [B, out_chans, S / patch, S / patch, S / patch].
        """
        x = self.patch_embed(image)  # [B, D, H, W, C]
        if self.pos_embed is not None:
            x = x + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.movedim(-1, 1))


class PatchEmbedding(nn.Module):
    """One linear map of each patch: [B, in_chans, S, S, S] to channels-last tokens [B, D, H, W, C].

    In the weights' own precision, also under autocast: on a CPU a bfloat16 convolution of 16³ takes 25 times as long.
    """

    def __init__(self, in_chans: int, embed_dim: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(in_chans, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            return self.proj(image.to(self.proj.weight.dtype)).movedim(1, -1).contiguous()


class Block(nn.Module):
    """Pre-norm transformer block: [B, D, H, W, C] to the same."""

    def __init__(self, embed_dim: int, attn: nn.Module, mlp: nn.Module, norm_eps: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim, eps=norm_eps)
        self.attn = attn
        self.norm2 = nn.LayerNorm(embed_dim, eps=norm_eps)
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))
