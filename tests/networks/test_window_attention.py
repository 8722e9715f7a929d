"""Attention without the padding against attention with it."""

import itertools
import math

import pytest
import torch

from seganypet.networks.padded_encoder import padded_attention, padded_encode
from seganypet.networks.window_attention import WindowAttention, log_pad_weight


def attention(window: int, seed: int = 0, **options) -> WindowAttention:
    """Attention of two heads with random weights, biases and tables large enough to matter."""
    attn = WindowAttention(12, 2, window, **options)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in attn.parameters():
            parameter.copy_(0.6 * torch.randn(parameter.shape, generator=generator))
    return attn


def tokens(*grid: int, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, *grid, 12, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("grid", "window"),
    [
        ((4, 4, 4), 4),  # one whole window
        ((4, 4, 4), 2),  # whole windows
        ((4, 4, 4), 3),  # eight windows, seven of them padded, each otherwise
        ((3, 3, 3), 5),  # one padded window
        ((2, 2, 2), 7),
        ((5, 4, 7), 3),  # another remainder along each axis
        ((4, 3, 2), 3),  # whole along the second axis, along the third less than a window
        ((1, 6, 3), 3),
        ((1, 1, 1), 2),
    ],
)
@pytest.mark.parametrize("batch", [1, 2])
@torch.no_grad()
def test_equals_padded_attention(grid, window, batch):
    attn, x = attention(window), tokens(*grid, batch=batch)
    torch.testing.assert_close(attn(x), padded_attention(attn, x), atol=2e-5, rtol=0)


@pytest.mark.parametrize("options", [{"qkv_bias": False}, {"use_rel_pos": False}])
@torch.no_grad()
def test_equals_padded_attention_without(options):
    attn, x = attention(3, **options), tokens(4, 4, 4)
    torch.testing.assert_close(attn(x), padded_attention(attn, x), atol=2e-5, rtol=0)


def test_gradients_equal_those_of_padded_attention():
    attn, x = attention(3), tokens(4, 5, 3)
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    names, parameters = zip(*attn.named_parameters(), strict=True)
    ours = torch.autograd.grad((attn(x) * weight).sum(), parameters)
    padded = torch.autograd.grad((padded_attention(attn, x) * weight).sum(), parameters)
    for name, actual, expected in zip(names, ours, padded, strict=True):
        torch.testing.assert_close(
            actual, expected, atol=1e-4, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_bfloat16_autocast_stays_near_and_trains():
    attn, x = attention(3), tokens(4, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        out = attn(x)
    out.float().square().mean().backward()
    with torch.no_grad():
        exact = padded_attention(attn, x)
    assert out.dtype == torch.bfloat16
    assert (out - exact).norm() < 0.02 * exact.norm()
    assert all(parameter.grad.isfinite().all() for parameter in attn.parameters())


@torch.no_grad()
def test_bias_is_the_released_one():
    """The formula of the first trap, query by query and key by key, in a window of 2³ whose last plane is padding."""
    attn = attention(2)
    rd, rh, rw = extent = (2, 2, 1)
    q = torch.randn(1, 4, 6, generator=torch.Generator().manual_seed(3))
    pad_q = torch.randn(1, 1, 6, generator=torch.Generator().manual_seed(4))
    bias = attn._bias(q, pad_q, extent)[0]  # [N, N + 1]

    def query(d: int, h: int, w: int) -> torch.Tensor:
        return q[0, 2 * d + h] if w < rw else pad_q[0, 0]

    def position_bias(d: int, h: int, w: int, kd: int, kh: int, kw: int) -> float:
        along_w = query(d, h, w) @ attn.rel_pos_d[d - kw + 1]
        along_d = query(d, h, kd) @ attn.rel_pos_h[h - kw + 1]
        return float(along_w + along_d + query(d, h, kh) @ attn.rel_pos_w[kh - kw + 1])

    keys = list(itertools.product(range(2), repeat=3))
    real = [key for key in keys if key[2] < rw]
    for row, of_query in enumerate(itertools.product(range(rd), range(rh), range(rw))):
        expected = [position_bias(*of_query, *key) for key in real]
        pads = sum(math.exp(position_bias(*of_query, *key)) for key in keys if key not in real)
        torch.testing.assert_close(bias[row], torch.tensor([*expected, math.log(pads)]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("extent", "pads"), [((8, 8, 8), 2232), ((2, 14, 14), 2352), ((14, 14, 13), 196)])
def test_pads_without_bias_weigh_as_many_as_they_are(extent, pads):
    rd, rh, rw = extent
    along_w, along_rows = torch.zeros(rd * rh, rw, 14), torch.zeros(rd * rh, 14, 14)
    weight = log_pad_weight(along_w, along_rows, along_rows, extent)
    torch.testing.assert_close(weight, torch.full((rd * rh, rw), math.log(pads)))


def test_pad_weight_survives_large_biases():
    """Sums of exp(200) are beyond float32; their logarithm is not."""
    along_w, along_rows = torch.full((1, 1, 2), 100.0), torch.full((1, 2, 2), 100.0)
    weight = log_pad_weight(along_w, along_rows, along_rows, (1, 1, 1))
    torch.testing.assert_close(weight, torch.full((1, 1), 300 + math.log(7)))


@torch.no_grad()
def test_encoder_equals_padded_encoder(tiny_net):
    image = torch.randn(2, 1, 48, 48, 48, generator=torch.Generator().manual_seed(5))
    expected = padded_encode(tiny_net.image_encoder, image)
    torch.testing.assert_close(tiny_net.encode(image), expected, atol=2e-5, rtol=0)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="num_heads must divide the width 12, got 5"):
        WindowAttention(12, 5, 2)
