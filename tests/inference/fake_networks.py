"""Small volumes, and networks whose answer is known by hand."""

import threading
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import nn

from seganypet.networks.click_network import ClickNetwork
from seganypet.networks.compact import CompactNetwork
from seganypet.networks.settings import DEFAULT_SETTINGS, NetworkSettings
from seganypet.pet import PetVolume


class ComponentNet(ClickNetwork):
    """Answers with the connected hot regions that a positive click or the previous mask touches and no negative does.

    Hot is SUV above 0.5; the logits are linear in SUV there, −1 elsewhere.
    """

    def __init__(self, *, window=16, stride=2, spacing_mm=2.0, placement="grid", points="accumulated", finer=()):
        super().__init__()
        self.settings = NetworkSettings("compact", spacing_mm, "asinh_suv", placement, points, finer)
        self.window_size, self.logit_stride = window, stride
        self.register_buffer("weights", torch.zeros(1))
        self.encoded, self.decoded, self.threads_inside = [], [], 0

    def encode(self, image):
        assert image.shape[:2] == (1, 1)
        assert image.shape[2] in [rung.window_size for rung in self.rungs]
        self._alone()
        self.encoded.append(image.clone())
        return F.avg_pool3d(torch.sinh(image), self.logit_stride)

    def decode(self, embedding, points=None, point_labels=None, mask_logits=None):
        self._alone()
        self.decoded.append((points, point_labels, mask_logits))
        uptake = embedding[0, 0].float()
        regions, _ = ndimage.label((uptake > 0.5).numpy())
        wanted = set(np.unique(regions[(mask_logits[0, 0] > 0).numpy()])) if mask_logits is not None else set()
        for point, label in zip(*(([], []) if points is None else (points[0], point_labels[0])), strict=True):
            cell = ((point + 0.5) / self.logit_stride).floor().long().clamp(0, uptake.shape[0] - 1)
            region = int(regions[tuple(cell)])
            (wanted.add if label == 1 else wanted.discard)(region)
        selected = torch.from_numpy(np.isin(regions, sorted(wanted - {0})))
        return torch.where(selected, uptake - 0.5, torch.clamp(uptake - 0.5, max=-0.01))[None, None]

    def _alone(self):
        """Fails when two threads compute at once."""
        self.threads_inside += 1
        assert self.threads_inside == 1, f"{self.threads_inside} computations at once in {threading.current_thread()}"
        self.threads_inside -= 1


class BallNet(ComponentNet):
    """Answers with a ball around the last click, as logits linear in the squared distance to it.

    Linear interpolation between cells of h voxels lowers a squared distance's logits by h²/6 per axis in the mean;
    that much is added.
    """

    def __init__(self, radius_mm, **settings):
        super().__init__(**settings)
        self.radius = radius_mm / self.settings.spacing_mm

    def decode(self, embedding, points=None, point_labels=None, mask_logits=None):
        stride = self.logit_stride
        centres = (torch.arange(embedding.shape[-1]) + 0.5) * stride - 0.5
        cells = torch.stack(torch.meshgrid(centres, centres, centres, indexing="ij"), -1)
        squared = (cells - points[0, -1]).square().sum(-1)
        return (self.radius**2 + (stride**2 / 2 if stride > 1 else 0) - squared)[None, None]


class SmallCompact(CompactNetwork):
    """The embedded network untrained, with a small window and answers on both sides of zero."""

    window_size = 16

    def __init__(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            super().__init__(replace(DEFAULT_SETTINGS["compact"], finer=()))
            for parameter in self.parameters():
                if not parameter.any():
                    nn.init.normal_(parameter, std=0.1)
            nn.init.normal_(self.decoder.head.weight, std=1.0)
            nn.init.zeros_(self.decoder.head.bias)


def box_volume(shape, *boxes, spacing_mm=2.0, suv=2.0):
    """A PetVolume of 0 with boxes ((i0, i1), (j0, j1), (k0, k1)) of the given SUV."""
    voxels = np.zeros(shape, dtype=np.float32)
    for box in boxes:
        voxels[tuple(slice(*axis) for axis in box)] = suv
    return PetVolume(voxels, np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0]))
