import numpy as np
import pytest
import torch
from fake_networks import ComponentNet, box_volume
from monai.data import MetaTensor

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter
from seganypet.inference.click_inferer import ClickInferer

CUBES = ((8, 12), (8, 12), (8, 12)), ((20, 26), (20, 26), (4, 8))


def test_it_answers_as_the_segmenter_does():
    volume = box_volume((32, 32, 32), *CUBES)
    inputs = MetaTensor(
        torch.tensor(volume.voxels)[None, None].repeat(2, 1, 1, 1, 1), affine=torch.tensor(volume.affine)
    )
    clicks = [[Click((10, 10, 10))], [{"ijk": [22, 22, 6], "positive": True}]]
    masks = ClickInferer()(inputs, ComponentNet(), clicks)
    assert masks.shape == (2, 1, 32, 32, 32)
    assert masks.dtype == torch.float32
    for mask, click in zip(masks, [(10, 10, 10), (22, 22, 6)], strict=True):
        expected = ClickSegmenter(ComponentNet()).segment(volume, [Click(click)])
        assert np.array_equal(mask[0].numpy() > 0, expected)


def test_spacing_comes_with_the_metadata():
    voxels = torch.tensor(box_volume((16, 16, 16), CUBES[0]).voxels)[None, None]
    net = ComponentNet()
    ClickInferer()(voxels, net, [[Click((10, 10, 10))]])
    ClickInferer()(MetaTensor(voxels, affine=torch.diag(torch.tensor([4.0, 4, 4, 1]))), net, [[Click((10, 10, 10))]])
    one, four = net.encoded[:2]  # 16 voxels of 1 mm are 8 working voxels of 2 mm; of 4 mm, 32
    assert (one > 0).sum() < (four > 0).sum()


def test_new_weights_forget_old_embeddings():
    net, inferer = ComponentNet(), ClickInferer()
    voxels = torch.tensor(box_volume((16, 16, 16), CUBES[0]).voxels)[None, None]
    for _ in range(2):
        inferer(voxels, net, [[Click((10, 10, 10))]])
    assert len(net.encoded) == 1
    net.weights += 1
    inferer(voxels, net, [[Click((10, 10, 10))]])
    assert len(net.encoded) == 2


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"\[B, 1, I, J, K\], got \[1, 4, 4, 4\]"):
        ClickInferer()(torch.zeros(1, 4, 4, 4), ComponentNet(), [[]])
    with pytest.raises(ValueError, match="2 volumes need as many lists of clicks, got 1"):
        ClickInferer()(torch.zeros(2, 1, 4, 4, 4), ComponentNet(), [[]])
