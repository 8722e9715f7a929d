"""Golden weights and inputs, drawn by the rules written in the golden files, and a tiny network for quick tests."""

import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from seganypet.networks import SegAnyPETNetwork

TINY: dict[str, dict[str, Any]] = {
    "image_encoder": {
        "img_size": 48,
        "embed_dim": 24,
        "depth": 2,
        "num_heads": 2,
        "out_chans": 48,
        "window_size": 2,
        "global_attn_indexes": [1],
    },
    "prompt_encoder": {"embed_dim": 48, "image_embedding_size": [3, 3, 3], "input_image_size": [48, 48, 48]},
    "mask_decoder": {"transformer_dim": 48, "transformer": {"num_heads": 4, "mlp_dim": 64}},
}


class Golden(NamedTuple):
    """A network with golden weights, its inputs, and what the released code answered."""

    net: SegAnyPETNetwork
    image: Tensor
    mask_prompt: Tensor
    points: Tensor
    labels: Tensor
    arrays: dict[str, np.ndarray]


def draw(name: str, shape: list[int]) -> np.ndarray:
    """Standard normal numbers seeded by a name, as the golden files draw them."""
    return np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF).standard_normal(shape)


def fill(name: str, shape: list[int], is_embedding: bool) -> Tensor:
    """One tensor of the golden weights, by the file's `fill_rule`."""
    z = draw(name, shape)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "positional_encoding_gaussian_matrix":
        filled = z
    elif leaf == "pos_embed":
        filled = 0.5 * z
    elif leaf in ("rel_pos_d", "rel_pos_h", "rel_pos_w"):
        filled = 0.2 * z
    elif is_embedding:
        filled = 0.5 * z
    elif leaf == "weight" and len(shape) == 1:
        filled = 1.0 + 0.1 * z
    elif leaf == "bias":
        filled = 0.1 * z
    else:
        filled = z / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(filled.astype(np.float32))


def golden_image(size: int) -> Tensor:
    r = np.arange(size) / size
    ramp = 3 * r[:, None, None] + np.sin(7 * r)[None, :, None] - 2 * (r**2)[None, None, :]
    return torch.from_numpy((draw(f"input.image.{size}", [size] * 3) + ramp).astype(np.float32))[None, None]


@pytest.fixture(scope="session")
def golden_folder(shared: Path) -> Path:
    folder = shared / "golden"
    if not folder.is_dir():
        pytest.skip(f"answers of the released code not found: {folder}")
    return folder


@pytest.fixture(scope="session")
def golden(golden_folder: Path) -> Golden:
    facts: dict[str, Any] = json.loads((golden_folder / "golden_small.json").read_text())
    net = SegAnyPETNetwork.from_constructor(facts["constructor"]).eval()
    shapes = facts["model"]["state_dict"]
    net.load_state_dict({name: fill(name, shapes[name], name in facts["embeddings"]) for name in shapes})
    size = net.window_size
    with np.load(golden_folder / "golden_small.npz") as arrays:
        return Golden(
            net,
            golden_image(size),
            torch.from_numpy((4.0 * draw(f"input.mask.{size}", [1, 1, *[size // 4] * 3])).astype(np.float32)),
            torch.tensor([[[20, 33, 41], [5, 60, 12], [47, 9, 30]]]) * (size / 64),
            torch.tensor([[1, 0, 1]]),
            dict(arrays),
        )


@pytest.fixture
def tiny_constructor() -> dict[str, dict[str, Any]]:
    """48³ voxels, 3³ tokens, windows of 2 (so that seven of eight stick out)."""
    return TINY


@pytest.fixture
def tiny_net(tiny_constructor: dict[str, dict[str, Any]]) -> SegAnyPETNetwork:
    """A network of `tiny_constructor`, none of whose parameters is zero."""
    net = SegAnyPETNetwork.from_constructor(tiny_constructor).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return net
