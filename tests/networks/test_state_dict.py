"""Names, shapes and counts of the released checkpoints."""

import json

import pytest

from seganypet.networks import SegAnyPETNetwork, build_network


@pytest.fixture(scope="module")
def net() -> SegAnyPETNetwork:
    return build_network("vit_b")


def test_names_and_shapes_are_the_released_ones(net, golden_folder):
    released = json.loads((golden_folder / "state_dict_keys.json").read_text())
    assert len(released) == 324
    state = net.state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == {
        name: entry["shape"] for name, entry in released.items()
    }
    assert {str(tensor.dtype) for tensor in state.values()} == {"torch.float32"}
    buffers = {name for name, _ in net.named_buffers() if name in state}
    assert buffers == {name for name, entry in released.items() if entry["buffer"]}


def test_parameter_counts(net):
    counts = [sum(p.numel() for p in part.parameters()) for part in net.children()]
    assert counts == [92_924_928, 8_668, 7_575_636]
    assert sum(counts) == 100_509_232


def test_released_network_sizes(net):
    assert (net.window_size, net.logit_stride) == (128, 4)
    assert [block.attn.window for block in net.image_encoder.blocks] == [14, 14, 8] * 4
