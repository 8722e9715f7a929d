"""The decoder's transformer, in which tokens attend to the image and the image to the tokens."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .layers import FeedForward, activation_named


class TwoWayTransformer(nn.Module):
    """Tokens and image attending to each other. Parameter names are the released checkpoints'.

    Args:
        embedding_dim: channels of tokens and image.
        depth: layers, before a last attention of tokens to image.
        num_heads: heads of every attention.
        mlp_dim: hidden width of the feed-forward layers.
        attention_downsample_rate: factor by which cross-attention is narrower than `embedding_dim`.
        activation: of the feed-forward layers, "ReLU" or "GELU(erf)".
    """

    def __init__(
        self,
        embedding_dim: int = 384,
        *,
        depth: int = 2,
        num_heads: int = 8,
        mlp_dim: int = 2048,
        attention_downsample_rate: int = 2,
        activation: str = "ReLU",
    ) -> None:
        super().__init__()
        narrow = embedding_dim // attention_downsample_rate
        self.layers = nn.ModuleList(
            TwoWayLayer(embedding_dim, narrow, num_heads, mlp_dim, activation_named(activation), first=index == 0)
            for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(embedding_dim, narrow, num_heads)
        self.norm_final_attn = nn.LayerNorm(embedding_dim)

    def forward(self, image: Tensor, image_position: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Both sides after the exchange.

        Args:
            image: [B, V, C], one row per cell of the embedding grid.
            image_position: [1 or B, V, C], added to image keys.
            tokens: [B, T, C]; they are their own position too.

        Returns:
            Tokens [B, T, C] and image [B, V, C].
        """
        token_position = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_position, image_position)
        attended = self.final_attn_token_to_image(tokens + token_position, image + image_position, image)
        return self.norm_final_attn(tokens + attended), image


class TwoWayLayer(nn.Module):
    """Self-attention of tokens, tokens to image, feed-forward of tokens, image to tokens; norms after each."""

    def __init__(self, width: int, narrow: int, num_heads: int, mlp_dim: int, act: nn.Module, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(width, width, num_heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = Attention(width, narrow, num_heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, mlp_dim, act)
        self.norm3 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = Attention(width, narrow, num_heads)
        self.norm4 = nn.LayerNorm(width)

    def forward(
        self, tokens: Tensor, image: Tensor, token_position: Tensor, image_position: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.first:  # the tokens still are their positions, so neither is added: no position, no residual
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + token_position
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        placed_image = image + image_position
        tokens = tokens + self.cross_attn_token_to_image(tokens + token_position, placed_image, image)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = image + self.cross_attn_image_to_token(placed_image, tokens + token_position, tokens)
        return tokens, self.norm4(image)


class Attention(nn.Module):
    """Multi-head attention with separate projections to an inner width.

    Args:
        width: channels of queries, keys, values and of the result.
        inner: channels in which they meet.
        num_heads: heads; they divide `inner`.

    Raises:
        ValueError: `num_heads` does not divide `inner`.
    """

    def __init__(self, width: int, inner: int, num_heads: int) -> None:
        super().__init__()
        if inner % num_heads:
            raise ValueError(f"num_heads must divide the attention's inner width {inner}, got {num_heads}")
        self.num_heads = num_heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[B, T, C], [B, V, C], [B, V, C] to [B, T, C]."""
        heads = (self.num_heads, -1)
        q = self.q_proj(query).unflatten(-1, heads).transpose(1, 2)  # [B, heads, T, c]
        k = self.k_proj(key).unflatten(-1, heads).transpose(1, 2)
        v = self.v_proj(value).unflatten(-1, heads).transpose(1, 2)
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(attended.transpose(1, 2).flatten(2))
