"""OpenVINO's encoder against torch's, on both networks."""

import numpy as np
import pytest
import torch
from fake_networks import ComponentNet, SmallCompact, box_volume
from torch import nn

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter
from seganypet.inference.encoder_backend import encoder_backend
from seganypet.networks import build_network

CPU = torch.device("cpu")


@pytest.fixture
def openvino():
    return pytest.importorskip("openvino", reason="openvino is not installed (requirements-openvino.txt)")


def unlike_a_fresh_one(name):
    """A network in which no weight is zero and no two are equal, so that no mistake cancels."""
    torch.manual_seed(0)
    net = build_network(name).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    return net


@pytest.mark.slow
@pytest.mark.parametrize("name", ["compact", "vit_b"])
def test_openvino_encodes_as_torch_does(openvino, name):
    net = unlike_a_fresh_one(name)
    size = net.window_size
    window = torch.rand(1, 1, size, size, size, generator=torch.Generator().manual_seed(1))
    backend = encoder_backend(net, "openvino", CPU)
    with torch.inference_mode():
        expected, embedding = net.encode(window), backend(window)
        assert torch.equal(backend(window), embedding)
        other = backend(torch.zeros_like(window))
    assert embedding.shape == expected.shape
    assert (embedding - expected).abs().max() < 1e-4 * expected.abs().max()
    assert not torch.equal(other, embedding)


@pytest.mark.slow
def test_the_segmenter_answers_alike_and_keeps_the_backends_apart(openvino):
    volume = box_volume((16, 16, 16), ((4, 10), (4, 10), (4, 10)), spacing_mm=3.0)
    plain, fast = ClickSegmenter(SmallCompact()), ClickSegmenter(SmallCompact(), backend="openvino")
    clicks = [Click((6, 6, 6)), Click((12, 12, 12), positive=False)]
    expected, mask = plain.segment(volume, clicks), fast.segment(volume, clicks)
    assert (mask ^ expected).mean() < 0.001
    fast.clear()
    assert np.array_equal(fast.segment(volume, clicks), mask)
    assert plain.encoder._key(volume, (0, 0, 0)) != fast.encoder._key(volume, (0, 0, 0))


def test_more_axes_than_openvino_can_compute_are_refused(openvino):
    class SevenAxes(nn.Module):
        def forward(self, x):
            return x.reshape(1, 1, 2, 4, 2, 4, 8).permute(0, 1, 3, 2, 5, 4, 6) + 1

    net = ComponentNet(window=8)
    net.image_encoder = SevenAxes()
    with pytest.raises(ValueError, match="7 axes; OpenVINO is right up to 6"):
        encoder_backend(net, "openvino", CPU)


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="got 'tensorrt'"):
        ClickSegmenter(ComponentNet(), backend="tensorrt")
    with pytest.raises(ValueError, match="not on cuda"):
        encoder_backend(ComponentNet(), "openvino", torch.device("cuda"))


def test_a_missing_openvino_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"requirements-openvino\.txt"):
        ClickSegmenter(ComponentNet(), backend="openvino")
