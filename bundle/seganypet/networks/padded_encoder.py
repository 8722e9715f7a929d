"""The image encoder as the released code computes it: padded windows, all pads computed, scores materialised.

Written from the definition; nothing runs it but the tests and `scripts/benchmark.py encoder`, which compare with it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seganypet.networks.image_encoder import ImageEncoder
from seganypet.networks.window_attention import WindowAttention


def padded_attention(attn: WindowAttention, x: Tensor) -> Tensor:
    """Attention of tokens [B, D, H, W, C] in windows filled with zero tokens."""
    size = attn.window
    batch, *grid, width = x.shape
    padding = [-n % size for n in grid]
    x = F.pad(x, (0, 0, 0, padding[2], 0, padding[1], 0, padding[0]))
    nd, nh, nw = (n // size for n in x.shape[1:4])
    x = x.view(batch, nd, size, nh, size, nw, size, width).permute(0, 1, 3, 5, 2, 4, 6, 7)
    x = x.reshape(-1, size**3, width)  # [windows, S³, C]

    q, k, v = attn.qkv(x).unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4).flatten(1, 2)
    scores = (q * attn.scale) @ k.transpose(-1, -2)  # [windows × heads, S³, S³]
    if attn.use_rel_pos:
        offset = torch.arange(size)[:, None] - torch.arange(size) + size - 1
        q = q.unflatten(1, (size, size, size))
        of_d = torch.einsum("ndhwc,dkc->ndhwk", q, attn.rel_pos_d[offset])[:, :, :, :, None, None, :]
        of_h = torch.einsum("ndhwc,hkc->ndhwk", q, attn.rel_pos_h[offset])[:, :, :, None, :, None, :]
        of_w = torch.einsum("ndhwc,wkc->ndhwk", q, attn.rel_pos_w[offset])[:, :, :, None, None, :, :]
        scores = (scores.unflatten(1, (size,) * 3).unflatten(4, (size,) * 3) + of_d + of_h + of_w).view_as(scores)
    out = scores.softmax(dim=-1) @ v
    out = attn.proj(out.unflatten(0, (-1, attn.num_heads)).transpose(1, 2).flatten(2))

    out = out.view(batch, nd, nh, nw, size, size, size, width).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return out.reshape(batch, nd * size, nh * size, nw * size, width)[:, : grid[0], : grid[1], : grid[2]]


def padded_encode(encoder: ImageEncoder, image: Tensor) -> Tensor:
    """Embedding of an image, [B, 1, S, S, S] to [B, C, D, H, W], with every block's attention padded."""
    x = encoder.patch_embed(image)
    if encoder.pos_embed is not None:
        x = x + encoder.pos_embed
    block: Any
    for block in encoder.blocks:
        x = x + padded_attention(block.attn, block.norm1(x))
        x = x + block.mlp(block.norm2(x))
    return encoder.neck(x.movedim(-1, 1))
