"""The command that turns a released file into a model.pt."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from seganypet.networks import NetworkSettings, build_network, load_network


def convert(repo: Path, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(repo / "scripts" / "convert_checkpoint.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("released") / "seganypet_v1.pth"
    torch.manual_seed(0)
    state = build_network("vit_b").state_dict()
    torch.save({"epoch": 1, "model_state_dict": state, "args": argparse.Namespace(img_size=128)}, path)
    return path


@pytest.mark.slow
def test_released_file_becomes_model_with_settings(repo, released, tmp_path):
    output = tmp_path / "model.pt"
    done = convert(repo, released, output, "--spacing_mm", 2, "--placement", "grid")
    assert done.returncode == 0, done.stderr
    assert output.stat().st_size < 0.51 * released.stat().st_size
    net = load_network(output)
    assert net.settings == NetworkSettings("vit_b", 2, "zscore", "grid", "accumulated")
    state = torch.load(released, weights_only=False)["model_state_dict"]
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, state[name], atol=1e-3, rtol=1e-3, msg=name)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no file of weights at"), (b"no checkpoint", "no checkpoint that can be read safely")],
)
def test_errors_are_one_line(repo, tmp_path, content, message):
    if content is not None:
        (tmp_path / "weights.pth").write_bytes(content)
    done = convert(repo, tmp_path / "weights.pth", tmp_path / "model.pt")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "model.pt").exists()
