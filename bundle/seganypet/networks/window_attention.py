"""Attention of the released image encoder inside windows, exactly, without computing the windows' padding.

The released encoder cuts its token grid into windows of S³ and fills windows that stick out with zero tokens *after*
the layer norm, so that a pad token's query, key and value are the qkv bias, and pad keys do take part in the softmax
(the fourth trap of these weights: at 128³ a grid of 8³ tokens is padded to 14³ in 8 of 12 blocks). All pad keys of a
window being the same vector, they differ in their position bias only. One virtual key, whose bias is the logarithm of
the pads' summed weight, replaces them all: 513 keys instead of 2744, and no pad query is computed at all.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn


class WindowAttention(nn.Module):
    """Multi-head self-attention in windows with the released checkpoints' relative-position bias.

    Parameter names are the released checkpoints': `qkv`, `proj`, `rel_pos_d`, `rel_pos_h`, `rel_pos_w`.

    Args:
        width: channels of a token.
        num_heads: heads; they divide `width`.
        window: tokens along each axis of a (padded) window, S. For global attention, the grid's own size.
        qkv_bias: whether the qkv projection has a bias; it is what pad tokens hold.
        use_rel_pos: whether there is a relative-position bias.

    Raises:
        ValueError: `num_heads` does not divide `width`.
    """

    offsets: Tensor

    def __init__(
        self, width: int, num_heads: int, window: int, *, qkv_bias: bool = True, use_rel_pos: bool = True
    ) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"num_heads must divide the width {width}, got {num_heads}")
        self.num_heads = num_heads
        self.window = window
        self.use_rel_pos = use_rel_pos
        head_width = width // num_heads
        self.scale = head_width**-0.5
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)
        if use_rel_pos:
            self.rel_pos_d = nn.Parameter(torch.zeros(2 * window - 1, head_width))
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * window - 1, head_width))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * window - 1, head_width))
            index = torch.arange(window)
            self.register_buffer("offsets", index[:, None] - index + window - 1, persistent=False)  # R[a, b]: a - b

    def forward(self, x: Tensor) -> Tensor:
        """Tokens after attention within their window.

        Args:
            x: normalised tokens, [B, D, H, W, C], of any grid.

        Returns:
            [B, D, H, W, C].
        """
        qkv = self.qkv(x)  # [B, D, H, W, 3C]
        parts = [_runs(size, self.window) for size in x.shape[1:4]]
        groups = list(product(*parts))
        if len(groups) == 1:
            return self.proj(self._attend_group(qkv, *(extent for _, _, extent in groups[0])))
        out = qkv.new_empty(x.shape)
        for (d0, d1, rd), (h0, h1, rh), (w0, w1, rw) in groups:
            out[:, d0:d1, h0:h1, w0:w1] = self._attend_group(qkv[:, d0:d1, h0:h1, w0:w1], rd, rh, rw)
        return self.proj(out)

    def _attend_group(self, qkv: Tensor, rd: int, rh: int, rw: int) -> Tensor:
        """Attention in windows that all hold the same rd × rh × rw real tokens: [B, D, H, W, 3C] → [B, D, H, W, C]."""
        batch, depth, height, width, _ = qkv.shape
        nd, nh, nw = depth // rd, height // rh, width // rw
        windows = qkv.reshape(batch, nd, rd, nh, rh, nw, rw, 3, self.num_heads, -1)
        windows = windows.permute(7, 0, 1, 3, 5, 8, 2, 4, 6, 9)  # [3, B, nd, nh, nw, heads, rd, rh, rw, c]
        q, k, v = windows.reshape(3, batch * nd * nh * nw, self.num_heads, rd, rh, rw, -1)
        out = self._attend(q, k, v)  # [M, heads, rd, rh, rw, c]
        out = out.reshape(batch, nd, nh, nw, self.num_heads, rd, rh, rw, -1)
        return out.permute(0, 1, 5, 2, 6, 3, 7, 4, 8).reshape(batch, depth, height, width, -1)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of M windows' real queries over real keys and pads: three times [M, heads, rd, rh, rw, c]."""
        extent = (q.shape[2], q.shape[3], q.shape[4])
        pad_q, pad_k, pad_v = self._pad_token(q)  # each [M, heads, 1, c]
        # Scores and weights of pads are sums of many exponentials: float32, also under autocast.
        with torch.autocast(q.device.type, enabled=False):
            bias = self._bias(q.float(), pad_q.float())  # [M, heads, N, N or N + 1]
        q, k, v = (tensor.flatten(2, 4) for tensor in (q, k, v))  # [M, heads, N, c]
        if extent != (self.window,) * 3:
            k = torch.cat([k, pad_k], dim=2)  # the virtual key
            v = torch.cat([v, pad_v], dim=2)
        scores = bias.add_(q @ k.transpose(-1, -2), alpha=self.scale)
        out = scores.softmax(dim=-1).to(v.dtype) @ v  # [M, heads, N, c]
        return out.unflatten(2, extent)

    def _pad_token(self, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of every pad token: the qkv bias (zeros if there is none)."""
        shape = (3, 1, self.num_heads, 1, q.shape[-1])
        token = q.new_zeros(shape) if self.qkv.bias is None else self.qkv.bias.to(q.dtype).view(shape)
        pad_q, pad_k, pad_v = token.expand(3, q.shape[0], -1, -1, -1)
        return pad_q, pad_k, pad_v

    def _bias(self, q: Tensor, pad_q: Tensor) -> Tensor:
        """What is added to the scaled scores: the position bias of real keys and, last, the virtual key's."""
        rd, rh, rw = q.shape[2:5]
        along_w, along_d, along_h = self._bias_terms(q, pad_q)
        real_d = along_d[..., :rd, :rw].unsqueeze(-2)  # [M, heads, rd, rh, kd, 1, kw]
        real_h = along_h[..., :rh, :rw].unsqueeze(-3)  # [M, heads, rd, rh, 1, kh, kw]
        of_row = (real_d + real_h).unsqueeze(4)  # [M, heads, rd, rh, 1, kd, kh, kw]
        of_query = along_w[..., :rw].unsqueeze(-2).unsqueeze(-2)  # [M, heads, rd, rh, rw, 1, 1, kw]
        bias = (of_row + of_query).flatten(5).flatten(2, 4)  # [M, heads, N, N]
        if (rd, rh, rw) == (self.window,) * 3:
            return bias
        pads = log_pad_weight(along_w, along_d, along_h, (rd, rh, rw))
        return torch.cat([bias, pads.flatten(2).unsqueeze(-1)], dim=-1)

    def _bias_terms(self, q: Tensor, pad_q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three terms that sum to the bias of query (d, h, w) and key (kd, kh, kw).

        The first trap: these weights were trained with a relative-position bias that reads other tokens' queries,
        q[d,h,w]·Rd[d,kw] + q[d,h,w=kd]·Rh[h,kw] + q[d,h,w=kh]·Rw[kh,kw], with R*[a,b] row a−b+S−1 of that axis's table
        and q not scaled. A bias that were right by geometry gives another embedding. Where kd or kh is an index of
        padding, the query that is read is the pad token's.

        Returns:
            [M, heads, rd, rh, rw, S] over kw; [M, heads, rd, rh, S, S] over (kd, kw); the same over (kh, kw).
        """
        windows, heads, rd, rh, rw, channels = q.shape
        size = self.window
        if not self.use_rel_pos:
            row_zeros = q.new_zeros(windows, heads, rd, rh, size, size)
            return q.new_zeros(windows, heads, rd, rh, rw, size), row_zeros, row_zeros
        table_d, table_h, table_w = (
            table.float()[self.offsets] for table in (self.rel_pos_d, self.rel_pos_h, self.rel_pos_w)
        )  # [S, S, c]
        pads = pad_q[:, :, None, None].expand(windows, heads, rd, rh, size - rw, channels)
        row = torch.cat([q, pads], dim=4)  # [M, heads, rd, rh, S, c]: the queries of a row of the padded window
        along_w = torch.einsum("mndhwc,dkc->mndhwk", q, table_d[:rd])
        along_d = torch.einsum("mndhxc,hkc->mndhxk", row, table_h[:rh])
        along_h = torch.einsum("mndhxc,xkc->mndhxk", row, table_w)
        return along_w, along_d, along_h


def log_pad_weight(along_w: Tensor, along_d: Tensor, along_h: Tensor, extent: tuple[int, int, int]) -> Tensor:
    """Logarithm of the sum, over a window's pad keys, of the exponential of their position bias.

    For one query and one kw the bias is a term in kd plus a term in kh, so the sum over a rectangle of (kd, kh) is a
    product of two sums. The pads are three such rectangles: every (kd, kh) where kw is padding; elsewhere kd in the
    padding with any kh, and kd real with kh in the padding. Nothing is subtracted, so nothing cancels.

    Args:
        along_w: [..., D, H, W, S] over kw.
        along_d: [..., D, H, S, S] over (kd, kw).
        along_h: [..., D, H, S, S] over (kh, kw).
        extent: real tokens of the window along each axis; not all of them S.

    Returns:
        [..., D, H, W] for each real query.
    """
    rd, rh, rw = extent
    size = along_w.shape[-1]
    any_d, any_h = along_d.logsumexp(dim=-2), along_h.logsumexp(dim=-2)  # [..., D, H, S]
    planes = [(any_d + any_h)[..., rw:]]
    positions = [along_w[..., rw:]]
    if rd < size:
        planes.append(along_d[..., rd:, :rw].logsumexp(dim=-2) + any_h[..., :rw])
        positions.append(along_w[..., :rw])
    if rh < size:
        planes.append(along_d[..., :rd, :rw].logsumexp(dim=-2) + along_h[..., rh:, :rw].logsumexp(dim=-2))
        positions.append(along_w[..., :rw])
    return (torch.cat(planes, dim=-1).unsqueeze(-2) + torch.cat(positions, dim=-1)).logsumexp(dim=-1)


def _runs(size: int, window: int) -> list[tuple[int, int, int]]:
    """Start, end and real tokens per window of an axis's full windows and of its last, padded one."""
    full = size // window * window
    runs = [(0, full, window)] if full else []
    return runs if full == size else [*runs, (full, size, size - full)]
