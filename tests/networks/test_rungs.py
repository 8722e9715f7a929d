"""The ladder as the network has it: one set of weights for windows of several sizes and spacings."""

import pytest
import torch

from seganypet.networks import NetworkSettings, Rung, build_network, load_network, save_network, with_rungs


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    return build_network("compact", NetworkSettings("compact", 3.0, "asinh_suv", "grid")).eval()


def test_the_default_ladder():
    net = build_network("compact")
    assert net.rungs == (Rung(1.5, 48, "click"), Rung(3.0, 80, "grid"))
    assert (net.rung_of(48), net.rung_of(80)) == (0, 1)
    assert build_network("vit_b").rungs == (Rung(1.5, 128, "click"),)


def test_each_rung_has_its_own_window(plain):
    net = with_rungs(plain, [Rung(1.5, 48)]).eval()
    with torch.inference_mode():
        for size in (48, 80):
            embedding = net.encode(torch.rand(1, 1, size, size, size))
            assert embedding.shape == (1, 236, size // 4, size // 4, size // 4)
            logits = net.decode(embedding, torch.full((1, 1, 3), size / 2), torch.ones(1, 1), None)
            assert logits.shape == (1, 1, size, size, size)
        with pytest.raises(ValueError, match="windows have 48 or 80 voxels along each axis, got 64"):
            net.encode(torch.rand(1, 1, 64, 64, 64))


def test_new_rungs_change_nothing_before_they_are_trained(plain):
    net = with_rungs(plain, [Rung(1.5, 48)]).eval()
    image, point = torch.rand(1, 1, 80, 80, 80), torch.full((1, 1, 3), 40.0)
    with torch.inference_mode():
        before = plain(image, point, torch.ones(1, 1))
        assert torch.equal(net(image, point, torch.ones(1, 1)), before)
        net.encoder.rung2[1] += 1.0  # the coarsest rung's own
        assert not torch.equal(net(image, point, torch.ones(1, 1)), before)


def test_a_smaller_window_knows_the_middle_places(plain):
    encoder = plain.encoder
    with torch.no_grad():
        encoder.position.copy_(torch.arange(125.0).view(1, 125, 1).expand(1, 125, 192))
    # of 5×5×5 tokens the middle 3×3×3 begin at (1, 1, 1): 25 + 5 + 1
    assert encoder.positions(3)[0, :4, 0].tolist() == [31, 32, 33, 36]
    with torch.no_grad():
        encoder.position.zero_()


def test_the_ladder_travels_with_the_weights(plain, tmp_path):
    save_network(with_rungs(plain, [Rung(1.5, 48)]), tmp_path / "model.pt")
    assert load_network(tmp_path / "model.pt").rungs == (Rung(1.5, 48, "click"), Rung(3.0, 80, "grid"))


@pytest.mark.parametrize(
    ("finer", "said"),
    [
        ([Rung(1.5, 80)], "windows of different sizes"),
        ([Rung(1.5, 40)], "multiples of 16 up to 80"),
        ([Rung(1.5, 96)], "multiples of 16 up to 80"),
        ([Rung(4.0, 48)], r"must grow from the finest to spacing_mm, got \[4.0, 3.0\]"),
    ],
)
def test_bad_rungs_are_named(plain, finer, said):
    with pytest.raises(ValueError, match=said):
        with_rungs(plain, finer)


@pytest.mark.parametrize("bad", [{"spacing_mm": 0}, {"window_size": 0}, {"placement": "free"}])
def test_bad_values_of_a_rung_are_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Rung(**{"spacing_mm": 1.5, "window_size": 48, **bad})


def test_widths_are_a_setting():
    small = build_network("compact", NetworkSettings("compact", 3.0, "asinh_suv", "grid", widths=(8, 16, 32, 64)))
    assert sum(p.numel() for p in small.parameters()) < 1_000_000
    with torch.inference_mode():
        assert small(torch.rand(1, 1, 80, 80, 80)).shape == (1, 1, 80, 80, 80)
    with pytest.raises(ValueError, match="widths must be four multiples of 8"):
        NetworkSettings("compact", widths=(8, 16, 32))
