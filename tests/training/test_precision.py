"""Reduced precision, on the CPU and where there is CUDA."""

import pytest
import torch
from tiny_network import TinyNetwork
from tiny_run import tiny_trainer

from seganypet.training import ClickRollout, RunCheckpoint

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def inputs(device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    targets = torch.zeros(1, 1, 16, 16, 16, dtype=torch.bool, device=device)
    targets[..., 4:9, 4:9, 4:9] = True
    return torch.rand(1, 1, 16, 16, 16, device=device), targets, torch.tensor([1])


def test_bfloat16_is_close_to_float32_and_gives_float32_logits():
    torch.manual_seed(0)
    network, arguments = TinyNetwork(), inputs("cpu")
    exact = ClickRollout(network, clicks=1).eval()(*arguments)
    rough = ClickRollout(network, clicks=1, precision="bfloat16").eval()(*arguments)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)


def test_float16_without_a_scaler_is_refused():
    with pytest.raises(ValueError, match="float16 needs CUDA"):
        ClickRollout(TinyNetwork(), precision="float16")


def test_unknown_precisions_are_named():
    with pytest.raises(ValueError, match="auto, float32, bfloat16, float16, got 'half'"):
        ClickRollout(TinyNetwork(), precision="half")


@needs_cuda
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_reduced_precision_trains_on_cuda_and_keeps_its_scale(precision, tmp_path):
    trainer = tiny_trainer(tmp_path, epochs=2, device="cuda", precision=precision)
    trainer.run()
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert (content["scaler"] is not None) == (precision == "float16")
    assert all(torch.isfinite(value).all() for value in content["network"].values())
    resumed = tiny_trainer(tmp_path, epochs=3, device="cuda", precision=precision, resume=True)
    resumed.run()
    assert resumed.state.iteration == 6
    if precision == "float16":
        assert resumed.scaler.get_scale() == content["scaler"]["scale"]


def test_checkpoints_hold_no_scaler_on_a_cpu(tmp_path):
    trainer = tiny_trainer(tmp_path, epochs=1)
    trainer.run()
    RunCheckpoint(tmp_path / "again", {}).save(trainer)
    assert torch.load(tmp_path / "again" / "checkpoint.pt", weights_only=True)["scaler"] is None
