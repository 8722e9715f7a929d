"""The released network's behaviour beyond its golden outputs."""

import pytest
import torch
from torch.nn import functional as F

from seganypet.networks import DEFAULT_SETTINGS, SegAnyPETNetwork


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(2, 1, 48, 48, 48, generator=torch.Generator().manual_seed(0))


POINTS = torch.tensor([[[3.0, 40.0, 20.0], [30.0, 2.0, 9.0]], [[47.0, 0.0, 24.0], [8.0, 8.0, 8.0]]])
LABELS = torch.tensor([[1, 0], [1, 1]])


def mask_prompt() -> torch.Tensor:
    return torch.randn(2, 1, 12, 12, 12, generator=torch.Generator().manual_seed(3))


def test_shapes(tiny_net, image):
    with torch.no_grad():
        embedding = tiny_net.encode(image)
        assert embedding.shape == (2, 48, 3, 3, 3)
        assert tiny_net.decode(embedding, POINTS, LABELS, None).shape == (2, 1, 12, 12, 12)
        masks, iou = tiny_net.decode_all(embedding, None, None, mask_prompt())
        assert masks.shape == (2, 4, 12, 12, 12)
        assert iou.shape == (2, 4)
        assert tiny_net(image).shape == image.shape
    assert tiny_net.window_size == 48
    assert tiny_net.logit_stride == 4
    assert tiny_net.settings == DEFAULT_SETTINGS["vit_b"]


@torch.no_grad()
def test_batch_equals_single(tiny_net, image):
    mask = mask_prompt()
    low_res = tiny_net.decode(tiny_net.encode(image), POINTS, LABELS, mask)
    for index in range(2):
        one = slice(index, index + 1)
        alone = tiny_net.decode(tiny_net.encode(image[one]), POINTS[one], LABELS[one], mask[one])
        torch.testing.assert_close(low_res[one], alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_many_prompts_on_one_embedding(tiny_net, image):
    embedding = tiny_net.encode(image[:1])
    both = tiny_net.decode(embedding, POINTS, LABELS, None)
    torch.testing.assert_close(both, tiny_net.decode(embedding.repeat(2, 1, 1, 1, 1), POINTS, LABELS, None))


@torch.no_grad()
def test_all_masks_begin_with_the_answer(tiny_net, image):
    embedding = tiny_net.encode(image)
    masks, _ = tiny_net.decode_all(embedding, POINTS, LABELS, mask_prompt())
    torch.testing.assert_close(masks[:, :1], tiny_net.decode(embedding, POINTS, LABELS, mask_prompt()))


@torch.no_grad()
def test_forward_starts_from_a_zero_mask_prompt(tiny_net, image):
    zero = torch.zeros(2, 1, 12, 12, 12)
    embedding = tiny_net.encode(image)
    first = tiny_net.decode(embedding, POINTS, LABELS, zero)
    full_res = F.interpolate(first, scale_factor=4, mode="trilinear", align_corners=False)
    torch.testing.assert_close(tiny_net(image, POINTS, LABELS), full_res)
    assert not torch.allclose(first, tiny_net.decode(embedding, POINTS, LABELS, None))


@torch.no_grad()
def test_new_weights_are_used_at_once(tiny_net, tiny_constructor, image):
    """Nothing computed from the old weights is kept."""
    tiny_net(image, POINTS, LABELS)
    other = SegAnyPETNetwork.from_constructor(tiny_constructor).eval()
    tiny_net.load_state_dict(other.state_dict())
    torch.testing.assert_close(tiny_net(image, POINTS, LABELS), other(image, POINTS, LABELS))
    before = tiny_net(image, POINTS, LABELS)
    for parameter in tiny_net.image_encoder.parameters():
        parameter.mul_(1.1)
    assert not torch.allclose(before, tiny_net(image, POINTS, LABELS))


def test_training_step_reaches_every_part(tiny_net, image):
    tiny_net.train()
    tiny_net(image, POINTS, LABELS).square().mean().backward()
    without = {name for name, parameter in tiny_net.named_parameters() if parameter.grad is None}
    heads = ("mask_decoder.iou_prediction_head.", *(f"mask_decoder.output_hypernetworks_mlps.{i}." for i in (1, 2, 3)))
    assert without == {name for name, _ in tiny_net.named_parameters() if name.startswith(heads)} | {
        "prompt_encoder.no_mask_embed.weight"
    }
    assert all(p.grad.isfinite().all() for p in tiny_net.parameters() if p.grad is not None)


def test_bfloat16_autocast(tiny_net, image):
    with torch.no_grad():
        exact = tiny_net(image, POINTS, LABELS)
        with torch.autocast("cpu", torch.bfloat16):
            embedding = tiny_net.encode(image)
            low_res = tiny_net.decode(embedding, POINTS, LABELS, torch.zeros(2, 1, 12, 12, 12))
    assert low_res.dtype == torch.float32
    full_res = F.interpolate(low_res, scale_factor=4, mode="trilinear", align_corners=False)
    assert (full_res - exact).norm() < 0.1 * exact.norm()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((POINTS, None, None), "points given without point_labels"),
        ((None, LABELS, None), "point_labels given without points"),
        ((POINTS[0], LABELS, None), r"points must be \[B, N, 3\], got \[2, 3\]"),
        ((POINTS, LABELS[:, :1], None), r"point_labels must be \[2, 2\], got \[2, 1\]"),
        ((POINTS, LABELS, torch.zeros(2, 1, 48, 48, 48)), r"mask_logits must be \[B, 1, 12, 12, 12\], got"),
        ((POINTS, LABELS, torch.zeros(1, 1, 12, 12, 12)), r"batch of 1, points and mask_logits \[2, 1\]"),
    ],
)
def test_bad_prompts(tiny_net, arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny_net.decode(torch.zeros(1, 48, 3, 3, 3), *arguments)


@pytest.mark.parametrize("shape", [(1, 1, 48, 48, 32), (1, 48, 48, 48), (1, 2, 48, 48, 48)])
def test_bad_image(tiny_net, shape):
    with pytest.raises(ValueError, match=r"image must be \[B, 1, 48, 48, 48\], got"):
        tiny_net.encode(torch.zeros(shape))


def test_constructor_refuses_what_it_does_not_know(tiny_constructor):
    with pytest.raises(TypeError, match="widow_size"):
        SegAnyPETNetwork.from_constructor(tiny_constructor | {"image_encoder": {"widow_size": 2}})
    with pytest.raises(ValueError, match="activation must be one of"):
        SegAnyPETNetwork.from_constructor(tiny_constructor | {"image_encoder": {"act": "tanh"}})


@pytest.mark.parametrize("window", [2, 5])
@torch.no_grad()
def test_encoder_can_be_exported(tiny_constructor, window):
    """Without data-dependent Python, and in tensors of six axes at most, beyond which some runtimes go wrong."""
    encoder = tiny_constructor["image_encoder"] | {"window_size": window}
    net = SegAnyPETNetwork.from_constructor(tiny_constructor | {"image_encoder": encoder}).eval()
    exported = torch.export.export(net.image_encoder, (torch.zeros(1, 1, 48, 48, 48),)).run_decompositions()
    one = torch.randn(1, 1, 48, 48, 48, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(exported.module()(one), net.encode(one), atol=1e-5, rtol=0)
    values = [node.meta["val"] for node in exported.graph.nodes if isinstance(node.meta.get("val"), torch.Tensor)]
    assert max(value.ndim for value in values) == 6
