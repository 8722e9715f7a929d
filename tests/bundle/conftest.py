"""A tiny cohort, and options that make any run of the bundle take seconds."""

import json
import os
import subprocess
import sys
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


def run_bundle(cwd: Path, run_id: str, config_file: str, options: dict, processes: int = 1) -> str:
    """`python -m monai.bundle run`, under torchrun where there are several processes; returns what it printed."""
    launcher = (
        [] if processes == 1 else ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    )
    overrides = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    command = [sys.executable, *launcher, "-m", "monai.bundle", "run", run_id, "--config_file", config_file, *overrides]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    finished = subprocess.run(
        command, cwd=cwd, env={**environment, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=500
    )
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-6000:]
    return finished.stdout + finished.stderr
