"""`compact`: the embedded network for laptops and CPU servers, of our own shape behind the same interface.

An image-only U-shaped encoder with a transformer at its coarsest stage runs once per window; a light U-shaped decoder
runs once per click on its features, the drawn clicks, the uptake relative to theirs and the previous logits. Logits
leave by a sub-pixel convolution at the working spacing, so that a lesion of a third of a millilitre keeps its shape.
One set of weights serves every rung of the ladder; a few biases tell it how much a voxel is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import Tensor, nn

from seganypet.networks.click_network import ClickNetwork
from seganypet.networks.dense_prompts import (
    NARROW_CELLS,
    NEIGHBOURHOOD_VOXELS,
    WIDE_CELLS,
    draw_clicks,
    sample_at,
    similarity_maps,
)
from seganypet.networks.settings import NetworkSettings

WINDOW = 80
HEAD_WIDTH = 32  # channels of one of the transformer's heads
KEY_CHANNELS = 16
PROMPT_CHANNELS = 16
EMPTY_LOGIT = -3.0  # an untrained network answers "nothing": targets fill a few per cent of a window
LOGIT_GAIN = 8.0  # normalised features bound the head; without it the logits creep for a thousand steps
LOGIT_SCALE = 4.0  # previous logits are read as tanh(logit / 4)


class Conv3d(nn.Conv3d):
    """nn.Conv3d that uses oneDNN for a single small window too.

    PyTorch sends a batch of one with few voxels to an im2col kernel that is about four times slower on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        direct = x.device.type == "cpu" and x.shape[0] == 1 and not torch.is_grad_enabled() and x.dtype == torch.float32
        if direct and torch.backends.mkldnn.is_available() and not torch.jit.is_tracing():
            padding = [int(n) for n in self.padding]
            return torch.mkldnn_convolution(
                x, self.weight, self.bias, padding, list(self.stride), list(self.dilation), self.groups
            )
        return super().forward(x)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each voxel, so that overlapping windows agree; [B, C, D, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(norm(x)))), 3×3×3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv1 = Conv3d(channels, channels, 3, padding=1)
        self.conv2 = Conv3d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(self.norm(x))))


def down(channels_in: int, channels_out: int) -> Conv3d:
    return Conv3d(channels_in, channels_out, 2, stride=2)


def up(channels_in: int, channels_out: int) -> nn.ConvTranspose3d:
    return nn.ConvTranspose3d(channels_in, channels_out, 2, stride=2)


def rung_bias(rungs: int, channels: int) -> nn.Parameter:
    """[rungs, channels] what is added to a stage's features on each rung; zero before training."""
    return nn.Parameter(torch.zeros(rungs, channels))


class CompactEncoder(nn.Module):
    """Image features at strides 2, 4 and 8, none of which depends on a click.

    Args:
        widths: channels at strides 2, 4, 8 and 16.
        window: voxels per axis of the largest window, a multiple of 16.
        rungs: how many rungs the ladder has.
    """

    def __init__(self, widths: Sequence[int], window: int = WINDOW, rungs: int = 1) -> None:
        super().__init__()
        w2, w4, w8, w16 = widths
        self.tokens = window // 16
        self.stem = Conv3d(1, w2, 4, stride=2, padding=1)
        self.stage2 = ResidualBlock(w2)
        self.down4, self.stage4 = down(w2, w4), nn.Sequential(ResidualBlock(w4), ResidualBlock(w4))
        self.down8, self.stage8 = down(w4, w8), nn.Sequential(ResidualBlock(w8), ResidualBlock(w8))
        self.down16 = down(w8, w16)
        self.position = nn.Parameter(torch.zeros(1, self.tokens**3, w16))
        self.stage16 = nn.ModuleList(
            nn.TransformerEncoderLayer(
                w16, w16 // HEAD_WIDTH, 3 * w16, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(3)
        )
        self.up8, self.merge8 = up(w16, w8), ResidualBlock(w8)
        self.up4, self.merge4 = up(w8, w4), ResidualBlock(w4)
        self.up2, self.merge2 = up(w4, w2), ResidualBlock(w2)
        if rungs > 1:
            self.rung2, self.rung16 = rung_bias(rungs, w2), rung_bias(rungs, w16)

    def forward(self, image: Tensor, rung: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """[B, 1, S, S, S] → features [B, C, S/2, …], [B, C, S/4, …], [B, C, S/8, …].

        Args:
            image: a window.
            rung: which rung it is of, from the finest.
        """
        at2 = self.stem(image)
        if hasattr(self, "rung2"):
            at2 = at2 + self.rung2[rung].view(1, -1, 1, 1, 1)
        at2 = self.stage2(at2)
        at4 = self.stage4(self.down4(at2))
        at8 = self.stage8(self.down8(at4))
        at16 = self.down16(at8)
        tokens = at16.flatten(2).transpose(1, 2) + self.positions(at16.shape[2])  # [B, T, C]
        if hasattr(self, "rung16"):
            tokens = tokens + self.rung16[rung]
        for layer in self.stage16:
            tokens = layer(tokens)
        at16 = at16 + tokens.transpose(1, 2).reshape(at16.shape)
        at8 = self.merge8(at8 + self.up8(at16))
        at4 = self.merge4(at4 + self.up4(at8))
        at2 = self.merge2(at2 + self.up2(at4))
        return at2, at4, at8

    def positions(self, tokens: int) -> Tensor:
        """[1, tokens³, C] of the middle tokens: a smaller window knows the same places around its centre."""
        if tokens == self.tokens:
            return self.position
        first = (self.tokens - tokens) // 2
        middle = slice(first, first + tokens)
        grid = self.position.reshape(self.tokens, self.tokens, self.tokens, -1)
        return grid[middle, middle, middle].reshape(1, tokens**3, -1)


class CompactDecoder(nn.Module):
    """Features, drawn prompts and previous logits in; logits at the working spacing out.

    Args:
        widths: the encoder's.
        rungs: how many rungs the ladder has.
    """

    def __init__(self, widths: Sequence[int], rungs: int = 1) -> None:
        super().__init__()
        w2, w4, w8, _ = widths
        inner4 = w4 * 3 // 2
        self.prompt2 = Conv3d(PROMPT_CHANNELS, w2, 3, padding=1)
        self.key = Conv3d(w4, KEY_CHANNELS, 1)
        self.down4, self.correlation4 = down(w2, inner4), Conv3d(2, inner4, 1)
        self.feature4, self.stage4 = Conv3d(w4, inner4, 1), ResidualBlock(inner4)
        self.down8, self.feature8 = down(inner4, w8), Conv3d(w8, w8, 1)
        self.stage8 = nn.Sequential(ResidualBlock(w8), ResidualBlock(w8))
        self.up4, self.merge4 = up(w8, inner4), ResidualBlock(inner4)
        self.up2, self.merge2 = up(inner4, w2), ResidualBlock(w2)
        self.head_norm = ChannelNorm(w2)
        self.head = Conv3d(w2, 8, 1)
        if self.head.bias is not None:
            nn.init.constant_(self.head.bias, EMPTY_LOGIT / LOGIT_GAIN)
        if rungs > 1:
            self.rung2, self.rung8 = rung_bias(rungs, w2), rung_bias(rungs, w8)

    def forward(
        self,
        features: tuple[Tensor, Tensor, Tensor],
        prompts: Tensor,
        points: Tensor,
        labels: Tensor,
        rung: int = 0,
    ) -> Tensor:
        """Features as the encoder's, prompts [B, 16, S/2, …], points [B, N, 3], labels [B, N] → [B, 1, S, S, S]."""
        feature2, feature4, feature8 = features
        prompted = feature2 + self.prompt2(prompts)
        if hasattr(self, "rung2"):
            prompted = prompted + self.rung2[rung].view(1, -1, 1, 1, 1)
        at2 = F.relu(prompted)
        correlation = self.correlate(self.key(feature4), points, labels)
        at4 = self.stage4(self.down4(at2) + self.feature4(feature4) + self.correlation4(correlation))
        at8 = self.down8(at4) + self.feature8(feature8)
        if hasattr(self, "rung8"):
            at8 = at8 + self.rung8[rung].view(1, -1, 1, 1, 1)
        at8 = self.stage8(at8)
        at4 = self.merge4(at4 + self.up4(at8))
        at2 = self.merge2(at2 + self.up2(at4))
        return pixelshuffle(LOGIT_GAIN * self.head(F.relu(self.head_norm(at2))).float(), 3, 2)

    @staticmethod
    def correlate(key: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        """[B, 2, G, G, G]: how alike each cell's features are to those under a positive, and a negative, click."""
        batch, _, *grid = key.shape
        if points.shape[1] == 0:
            return key.new_zeros((batch, 2, *grid))
        key = F.normalize(key.float(), dim=1)
        clicked = F.normalize(sample_at(key, points, 4), dim=-1)  # [B, N, C]
        alike = torch.einsum("bnc,bcv->bnv", clicked, key.flatten(2))  # [B, N, cells]
        maps = [alike.masked_fill((labels != sign)[..., None], -1.0).amax(1) for sign in (1, 0)]
        return torch.stack(maps, 1).reshape(batch, 2, *grid)


class CompactNetwork(ClickNetwork):
    """The embedded click network.

    Points are voxels of the window in tensor order (dim0, dim1, dim2), labels 1 positive, 0 negative, −1 none (a place
    holder in a batch of different click counts).

    Args:
        settings: what the weights are trained with; normalisation must be "asinh_suv", since the decoder compares
            uptake as log ratios.

    Raises:
        ValueError: another architecture or normalisation.
    """

    window_size = WINDOW
    logit_stride = 1

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        if settings.architecture != "compact" or settings.normalisation != "asinh_suv":
            raise ValueError(f"compact needs architecture 'compact' and normalisation 'asinh_suv', got {settings}")
        self.settings = settings
        sizes = [rung.window_size for rung in self.rungs]
        if len(set(sizes)) < len(sizes) or any(size % 16 or size > self.window_size for size in sizes):
            raise ValueError(
                f"compact needs windows of different sizes, multiples of 16 up to {self.window_size}, got {sizes}"
            )
        rungs = len(self.rungs)
        self.encoder = CompactEncoder(settings.widths, self.window_size, rungs)
        self.decoder = CompactDecoder(settings.widths, rungs)
        self.close_up_decoder = CompactDecoder(settings.widths, rungs) if settings.close_ups else None
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def encode(self, image: Tensor) -> Tensor:
        """Everything of the window that no click changes.

        Args:
            image: [B, 1, S, S, S] asinh(SUV), S of one of the rungs.

        Returns:
            [B, 236, S/4, S/4, S/4]: features of strides 2, 4 and 8 and the image itself, packed by space-to-depth.

        Raises:
            ValueError: a window of no rung's size.
        """
        rung = self.rung_of(image.shape[-1])
        return self.pack(self.encoder(image.contiguous(memory_format=torch.channels_last_3d), rung), image)

    @staticmethod
    def pack(features: Sequence[Tensor], image: Tensor) -> Tensor:
        """The encoder's features and the image as one embedding."""
        at2, at4, at8 = features
        packed = [pixelunshuffle(at2, 3, 2), at4, pixelshuffle(at8, 3, 2), pixelunshuffle(image, 3, 4).to(at2.dtype)]
        return torch.cat(packed, 1)

    def decode(
        self,
        embedding: Tensor,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        mask_logits: Tensor | None = None,
    ) -> Tensor:
        """Logits for one target per embedding.

        Args:
            embedding: as `encode` returns it.
            points: [B, N, 3] window voxels, or None.
            point_labels: [B, N], or None.
            mask_logits: [B, 1, S, S, S] logits of the previous answer, or None for a first click.

        Returns:
            [B, 1, S, S, S] logits.
        """
        return self._decode(self.decoder, embedding, points, point_labels, mask_logits)

    def decode_close_up(self, embedding: Tensor, *prompts: Tensor | None) -> Tensor:
        """As `decode`, by a decoder of its own where the settings have close-ups."""
        return self._decode(self.close_up_decoder or self.decoder, embedding, *prompts)

    def _decode(
        self,
        decoder: CompactDecoder,
        embedding: Tensor,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        mask_logits: Tensor | None = None,
    ) -> Tensor:
        batch, rung = embedding.shape[0], self.rung_of(4 * embedding.shape[-1])
        w2, w4, w8, _ = self.settings.widths
        at2, at4, at8, image = embedding.split([8 * w2, w4, w8 // 8, 64], 1)
        image = pixelshuffle(image, 3, 4).float()  # [B, 1, S, S, S]
        if points is None or point_labels is None:
            points, point_labels = image.new_zeros((batch, 0, 3)), image.new_zeros((batch, 0))
        points = points.to(image.dtype)
        if mask_logits is None:
            mask_logits = torch.zeros_like(image)
        prompts = self.draw_prompts(image, points, point_labels, mask_logits)
        features = (pixelshuffle(at2, 3, 2), at4, pixelunshuffle(at8, 3, 2))
        channels_last = [x.contiguous(memory_format=torch.channels_last_3d) for x in (*features, prompts)]
        return decoder(tuple(channels_last[:3]), channels_last[3], points, point_labels, rung).float()

    def draw_prompts(self, image: Tensor, points: Tensor, point_labels: Tensor, mask_logits: Tensor) -> Tensor:
        """[B, 16, S/2, S/2, S/2]: previous logits (8), clicks narrow and wide by sign (4), uptake similarity (4)."""
        positive, negative = point_labels == 1, point_labels == 0
        cells = image.shape[-1] // 2
        drawn = [
            draw_clicks(points, sign, cells, 2, sigma)
            for sign in (positive, negative)
            for sigma in (NARROW_CELLS, WIDE_CELLS)
        ]
        similarity = similarity_maps(
            image, F.avg_pool3d(image, 2), points, positive, negative, radius_voxels=NEIGHBOURHOOD_VOXELS
        )
        previous = pixelunshuffle(torch.tanh(mask_logits.float() / LOGIT_SCALE), 3, 2)
        return torch.cat([previous, *drawn, similarity], 1)
