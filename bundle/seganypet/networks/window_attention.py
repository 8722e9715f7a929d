"""Attention of the released image encoder inside windows, exactly, without computing the windows' padding.

The released encoder cuts its token grid into windows of S³ and fills windows that stick out with zero tokens *after*
the layer norm, so that a pad token's query, key and value are the qkv bias, and pad keys do take part in the softmax
(the fourth trap of these weights: at 128³ a grid of 8³ tokens is padded to 14³ in 8 of 12 blocks). All pad keys of a
window being the same vector, they differ in their position bias only. One virtual key, whose bias is the logarithm of
the pads' summed weight, replaces them all: 513 keys instead of 2744, and no pad query is computed at all.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn

Extent = tuple[int, int, int]
SCORES_AT_ONCE = 2**20  # 4 MiB: larger blocks of memory go back to the system after each use, and cost page faults


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
        runs = [_runs(size, self.window) for size in x.shape[1:4]]
        if all(len(axis) == 1 for axis in runs):
            return self.proj(self._attend_windows(qkv, (runs[0][0].extent, runs[1][0].extent, runs[2][0].extent)))
        out = qkv.new_empty(x.shape)
        for d, h, w in product(*runs):
            group = qkv[:, d.start : d.end, h.start : h.end, w.start : w.end]
            attended = self._attend_windows(group, (d.extent, h.extent, w.extent))
            out[:, d.start : d.end, h.start : h.end, w.start : w.end] = attended
        return self.proj(out)

    def _attend_windows(self, qkv: Tensor, extent: Extent) -> Tensor:
        """Attention in windows that all hold as many real tokens: [B, D, H, W, 3C] to [B, D, H, W, C]."""
        windows = _cut(qkv, extent)  # [M, N, 3C]
        count, tokens, _ = windows.shape
        q, k, v = windows.view(count, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).flatten(1, 2)
        pad = qkv.new_zeros(qkv.shape[-1]) if self.qkv.bias is None else self.qkv.bias.to(qkv.dtype)
        pad_q, pad_k, pad_v = pad.view(3, 1, self.num_heads, 1, -1).expand(-1, count, -1, -1, -1).flatten(1, 2)
        # [G, N, c] and [G, 1, c] over G = windows × heads; on a CPU a few of them at a time.
        at_once = max(1, SCORES_AT_ONCE // tokens**2) if qkv.device.type == "cpu" else len(q)
        parts = zip(*(tensor.split(at_once) for tensor in (q, k, v, pad_q, pad_k, pad_v)), strict=True)
        out = torch.cat([self._attend(*part, extent=extent) for part in parts])  # [G, N, c]
        out = out.unflatten(0, (count, self.num_heads)).transpose(1, 2).flatten(2)  # [M, N, C]
        return _join(out, extent, qkv.shape)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, pad_q: Tensor, pad_k: Tensor, pad_v: Tensor, *, extent: Extent
    ) -> Tensor:
        """Attention of real queries, [G, N, c], over real keys and the pads, whose q, k and v are [G, 1, c]."""
        # The bias sums over many exponentials of pads: float32, also under autocast.
        with torch.autocast(q.device.type, enabled=False):
            bias = self._bias(q.float(), pad_q.float(), extent)  # [G, N, N], or N + 1 keys where there are pads
        if bias.shape[-1] > k.shape[1]:
            k, v = torch.cat([k, pad_k], dim=1), torch.cat([v, pad_v], dim=1)  # the virtual key
        scores = bias.add_(q @ k.transpose(1, 2), alpha=self.scale)
        return scores.softmax(dim=-1).to(v.dtype) @ v

    def _bias(self, q: Tensor, pad_q: Tensor, extent: Extent) -> Tensor:
        """What is added to the scaled scores: the position bias of the real keys and, last, that of the virtual key."""
        rd, rh, rw = extent
        along_w, along_d, along_h = self._bias_terms(q, pad_q, extent)
        real_d, real_h = along_d[:, :, :rd, :rw], along_h[:, :, :rh, :rw]
        of_row = (real_d.unsqueeze(3) + real_h.unsqueeze(2)).flatten(2, 3)  # [G, rd·rh, kd·kh, kw]
        of_query = along_w[..., :rw].unsqueeze(3)  # [G, rd·rh, rw, 1, kw]
        bias = (of_row.unsqueeze(2) + of_query).flatten(3).flatten(1, 2)  # [G, N, N]
        if extent == (self.window,) * 3:
            return bias
        pads = log_pad_weight(along_w, along_d, along_h, extent)  # [G, rd·rh, rw]
        return torch.cat([bias, pads.flatten(1).unsqueeze(-1)], dim=-1)

    def _bias_terms(self, q: Tensor, pad_q: Tensor, extent: Extent) -> tuple[Tensor, Tensor, Tensor]:
        """The three terms that sum to the bias of query (d, h, w) and key (kd, kh, kw).

        The first trap: these weights were trained with a relative-position bias that reads other tokens' queries,
        q[d,h,w]·Rd[d,kw] + q[d,h,w=kd]·Rh[h,kw] + q[d,h,w=kh]·Rw[kh,kw], with R*[a,b] row a−b+S−1 of that axis's table
        and q not scaled. A bias that were right by geometry gives another embedding. Where kd or kh is an index of
        padding, the query that is read is the pad token's.

        Returns:
            [G, rd·rh, rw, S] over kw; [G, rd·rh, S, S] over (kd, kw); the same over (kh, kw).
        """
        rd, rh, rw = extent
        size = self.window
        if not self.use_rel_pos:
            of_rows = q.new_zeros(len(q), rd * rh, size, size)
            return q.new_zeros(len(q), rd * rh, rw, size), of_rows, of_rows
        table_d, table_h, table_w = (
            table.float()[self.offsets] for table in (self.rel_pos_d, self.rel_pos_h, self.rel_pos_w)
        )  # [S, S, c]
        q = q.unflatten(1, (rd, rh, rw))
        pads = pad_q[:, :, None, None].expand(-1, rd, rh, size - rw, -1)
        row = torch.cat([q, pads], dim=3)  # [G, rd, rh, S, c]: the queries of a row of the padded window
        along_w = torch.einsum("gdhwc,dkc->gdhwk", q, table_d[:rd])
        along_d = torch.einsum("gdhxc,hkc->gdhxk", row, table_h[:rh])
        along_h = torch.einsum("gdhxc,xkc->gdhxk", row, table_w)
        return along_w.flatten(1, 2), along_d.flatten(1, 2), along_h.flatten(1, 2)


def log_pad_weight(along_w: Tensor, along_d: Tensor, along_h: Tensor, extent: Extent) -> Tensor:
    """Logarithm of the sum, over a window's pad keys, of the exponential of their position bias.

    For one query and one kw the bias is a term in kd plus a term in kh, so the sum over a rectangle of (kd, kh) is a
    product of two sums. The pads are three such rectangles: every (kd, kh) where kw is padding; elsewhere kd in the
    padding with any kh, and kd real with kh in the padding. Nothing is subtracted, so nothing cancels.

    Args:
        along_w: [..., rw, S] over kw, for each query of a row.
        along_d: [..., S, S] over (kd, kw), for each row.
        along_h: [..., S, S] over (kh, kw), for each row.
        extent: rd, rh, rw: real tokens of the window along each axis; not all of them S.

    Returns:
        [..., rw].
    """
    rd, rh, rw = extent
    size = along_w.shape[-1]
    any_d, any_h = along_d.logsumexp(dim=-2), along_h.logsumexp(dim=-2)  # [..., S]
    planes, queries = [(any_d + any_h)[..., rw:]], [along_w[..., rw:]]
    if rd < size:
        planes.append(along_d[..., rd:, :rw].logsumexp(dim=-2) + any_h[..., :rw])
        queries.append(along_w[..., :rw])
    if rh < size:
        planes.append(along_d[..., :rd, :rw].logsumexp(dim=-2) + along_h[..., rh:, :rw].logsumexp(dim=-2))
        queries.append(along_w[..., :rw])
    return (torch.cat(planes, dim=-1).unsqueeze(-2) + torch.cat(queries, dim=-1)).logsumexp(dim=-1)


class _Run(NamedTuple):
    """Windows that follow each other along an axis and hold as many real tokens."""

    start: int
    end: int
    extent: int


def _runs(size: int, window: int) -> list[_Run]:
    """An axis's full windows, and its last one if that is padded."""
    full = size // window * window
    runs = [_Run(0, full, window), _Run(full, size, size - full)]
    return [run for run in runs if run.end > run.start]


def _cut(x: Tensor, extent: Extent) -> Tensor:
    """[B, D, H, W, C] to windows [M, rd·rh·rw, C]; no more than six axes at a time, which exporters can rely on."""
    rd, rh, rw = extent
    batch, depth, height, width, channels = x.shape
    x = x.reshape(batch * (depth // rd), rd, height // rh, rh, width // rw, rw * channels).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(-1, rd * rh * rw, channels)


def _join(windows: Tensor, extent: Extent, grid: torch.Size) -> Tensor:
    """The inverse of `_cut`, for a grid of [B, D, H, W, ...]."""
    rd, rh, rw = extent
    batch, depth, height, width = grid[:4]
    x = windows.reshape(-1, height // rh, width // rw, rd, rh, rw * windows.shape[-1]).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(batch, depth, height, width, -1)
