"""The decoder that looks at later clicks on large targets close up, beside the one of everything else."""

import pytest
import torch

from seganypet.networks import build_network, load_network, save_network, with_close_ups
from seganypet.training import start_network


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(3)
    plain = build_network("compact")
    for parameter in plain.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return plain.eval()


@pytest.fixture(scope="module")
def asked(net):
    """A fine window's embedding and prompts."""
    image = torch.rand(1, 1, 48, 48, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        embedding = net.encode(image)
    return embedding, torch.tensor([[[20.0, 24, 30]]]), torch.tensor([[1.0]]), torch.zeros(1, 1, 48, 48, 48)


def test_it_begins_as_the_decoder_and_changes_nothing_else(net, asked, tmp_path):
    own = with_close_ups(net).eval()
    assert own.settings.close_ups
    with torch.inference_mode():
        before = net.decode(*asked)
        assert torch.equal(own.decode(*asked), before)
        assert torch.equal(own.decode_close_up(*asked), before)
        own.close_up_decoder.head.bias.add_(1.0)
        assert torch.equal(own.decode(*asked), before)
        assert not torch.equal(own.decode_close_up(*asked), before)
    save_network(own, tmp_path / "model.pt", half=False)
    again = load_network(tmp_path / "model.pt")
    with torch.inference_mode():
        assert torch.equal(again.decode_close_up(*asked), own.decode_close_up(*asked))


def test_a_network_without_one_decodes_close_ups_as_everything_else(net, asked):
    with torch.inference_mode():
        assert torch.equal(net.decode_close_up(*asked), net.decode(*asked))


def test_a_run_with_close_ups_starts_with_one(net, tmp_path):
    save_network(net, tmp_path / "plain.pt")
    started = start_network(weights=tmp_path / "plain.pt", close_ups=True)
    assert started.settings.close_ups
    assert torch.equal(started.close_up_decoder.key.weight, started.decoder.key.weight)
    assert not start_network(weights=tmp_path / "plain.pt").settings.close_ups
    # weights that have one keep it, whether this run trains it or not
    with torch.no_grad():
        started.close_up_decoder.key.weight.add_(1.0)
    save_network(started, tmp_path / "own.pt", half=False)
    for close_ups in (True, False):
        kept = start_network(weights=tmp_path / "own.pt", close_ups=close_ups)
        assert torch.equal(kept.close_up_decoder.key.weight, started.close_up_decoder.key.weight)
    # without finer rungs there is nothing to look closer with
    assert not start_network(weights=tmp_path / "plain.pt", close_ups=True, ladder=False).settings.close_ups
