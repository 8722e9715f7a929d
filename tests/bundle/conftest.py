"""A tiny cohort, and options that make any run of the bundle take seconds."""

import json
from pathlib import Path

import pytest
import torch

from seganypet.data import write_cohort
from seganypet.networks import build_network, save_network

TINY_VIT_B = {
    "_target_": "seganypet.networks.SegAnyPETNetwork.from_constructor",
    "constructor": {
        "image_encoder": {
            "img_size": 32,
            "embed_dim": 24,
            "depth": 1,
            "num_heads": 2,
            "out_chans": 48,
            "window_size": 2,
            "global_attn_indexes": [],
        },
        "prompt_encoder": {"embed_dim": 48, "image_embedding_size": [2, 2, 2], "input_image_size": [32, 32, 32]},
        "mask_decoder": {"transformer_dim": 48, "transformer": {"num_heads": 4, "mlp_dim": 64}},
    },
}


@pytest.fixture(scope="session")
def cohort(tmp_path_factory) -> Path:
    """Three coarse phantoms: one with labels of high quality, one of low, one for validation."""
    folder = tmp_path_factory.mktemp("cohort")
    path = write_cohort(folder, 3, 1, validation=1, voxel_size_mm=(8, 8, 8), lesion_count=2, workers=1, progress=False)
    content = json.loads(path.read_text())
    content["training"][1]["quality"] = "low"
    path.write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A compact model.pt that answers every click with an empty mask: an untrained network's noise would be followed
    from window to window, which takes long."""
    network = build_network("compact")
    with torch.no_grad():
        network.decoder.head.weight.zero_()
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save_network(network, path)
    return path


@pytest.fixture(scope="session")
def tiny_vit_b(tmp_path_factory) -> Path:
    """An overlay that puts a small network in vit_b's place; float32, since PyTorch's bfloat16 convolutions on a CPU
    sometimes give infinite gradients on grids of two cells."""
    path = tmp_path_factory.mktemp("overlay") / "tiny_vit_b.json"
    path.write_text(json.dumps({"network_def": TINY_VIT_B, "average": TINY_VIT_B, "precision": "float32"}))
    return path


@pytest.fixture
def training_options(cohort, tmp_path) -> dict:
    """Overrides of train.json."""
    return {
        "data_lists": [str(cohort / "data_list.json")],
        "run_dir": str(tmp_path / "run"),
        "epochs": 1,
        "windows_per_study": 1,
        "batch_size": 2,
        "targets_per_window": 1,
        "clicks": 2,
        "warmup_iterations": 1,
        "validate_every": 1,
        "validate#dataset#windows_per_study": 1,
    }
