"""A network small enough that a whole run takes seconds, and studies to train it on."""

import numpy as np
import torch
from torch import nn

from seganypet.data import WorkingStudy
from seganypet.data.targets import split_targets
from seganypet.networks.click_network import ClickNetwork
from seganypet.networks.settings import NetworkSettings


class TinyNetwork(ClickNetwork):
    """Two convolutions over uptake, clicks and previous logits, on windows of 16 voxels."""

    window_size, logit_stride = 16, 1

    def __init__(self) -> None:
        super().__init__()
        self.settings = NetworkSettings("compact", 3.0, "asinh_suv", "grid")
        self.encoder = nn.Conv3d(1, 4, 3, padding=1)
        self.decoder = nn.Sequential(nn.ReLU(), nn.Conv3d(7, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 1, 1))

    def encode(self, image):
        return self.encoder(image)

    def decode(self, embedding, points=None, point_labels=None, mask_logits=None):
        clicks = embedding.new_zeros(embedding.shape[0], 2, *embedding.shape[2:])
        if points is not None:
            for b, (places, labels) in enumerate(zip(points.long(), point_labels, strict=True)):
                for (i, j, k), label in zip(places.tolist(), labels.tolist(), strict=True):
                    if label >= 0:
                        clicks[b, int(label), i, j, k] = 1.0
        return self.decoder(torch.cat([embedding, clicks, mask_logits], 1))


def make_study(number: int, high_quality: bool = True) -> WorkingStudy:
    """A warm cube and a hot one in noise."""
    random = np.random.default_rng(number)
    labels = torch.zeros(24, 24, 24, dtype=torch.int16)
    i, j, k = random.integers(2, 6, 3)
    labels[i : i + 9, j : j + 9, k : k + 9] = 1
    labels[17:21, 17:21, 17:21] = 2
    noise = torch.from_numpy(random.normal(0, 0.1, labels.shape))
    uptake = (torch.where(labels == 2, 8.0, torch.where(labels == 1, 2.0, 0.3)) + noise).half()
    target_map, targets = split_targets(labels, {1: "liver", 2: "lesion_1"})
    return WorkingStudy(f"study_{number}.nii.gz", uptake, target_map, (3.0, 3.0, 3.0), tuple(targets), high_quality)
