"""Clicks and mask prompts as embeddings."""

import math

import pytest
import torch

from seganypet.networks.prompt_encoder import PromptEncoder, RandomPositionEncoding


@pytest.fixture
def encoder() -> PromptEncoder:
    torch.manual_seed(0)
    return PromptEncoder(
        embed_dim=12, image_embedding_size=(4, 4, 4), input_image_size=(64, 64, 64), mask_in_chans=8
    ).eval()


def test_position_encoding_by_hand():
    """One feature that projects on dim 0: x = 0.75 becomes 2·0.75 − 1 = 0.5, the angle π/2 for a weight of 0.5."""
    layer = RandomPositionEncoding(1)
    layer.positional_encoding_gaussian_matrix.copy_(torch.tensor([[0.5], [0.0], [0.0]]))
    expected = torch.tensor([math.sin(math.pi / 2), math.cos(math.pi / 2), math.sin(math.pi / 2)])
    torch.testing.assert_close(layer(torch.tensor([0.75, 0.1, 0.9])), expected)


@torch.no_grad()
def test_dense_grid_swaps_the_first_two_axes_of_clicks(encoder):
    """A click at the centre of cell (i, j, k) gets what dense_pe holds at (j, i, k): the second trap."""
    i, j, k = 0, 2, 3
    centre = torch.tensor([[[16 * i + 7.5, 16 * j + 7.5, 16 * k + 7.5]]])  # + 0.5 is the middle of a cell of 16
    token = encoder.encode_points(centre, torch.tensor([[1]]), 1)[0, 0]
    position = token - encoder.point_embeddings[1].weight[0]
    torch.testing.assert_close(position, encoder.dense_pe()[0, :, j, i, k], atol=1e-5, rtol=0)


@torch.no_grad()
def test_labels_choose_the_embedding(encoder):
    points = torch.full((1, 3, 3), 10.0)
    negative, positive, nothing = encoder.encode_points(points, torch.tensor([[0, 1, -1]]), 1)[0, :3]
    difference = encoder.point_embeddings[1].weight[0] - encoder.point_embeddings[0].weight[0]
    torch.testing.assert_close(positive - negative, difference)
    torch.testing.assert_close(nothing, encoder.not_a_point_embed.weight[0])


@torch.no_grad()
def test_points_get_a_pad_and_no_points_none(encoder):
    tokens = encoder.encode_points(torch.zeros(2, 3, 3), torch.ones(2, 3), 2)
    assert tokens.shape == (2, 4, 12)
    torch.testing.assert_close(tokens[:, -1], encoder.not_a_point_embed.weight.expand(2, -1))
    assert encoder.encode_points(None, None, 2).shape == (2, 0, 12)


@torch.no_grad()
def test_zero_mask_is_not_no_mask(encoder):
    zero, none = encoder.encode_mask(torch.zeros(1, 1, 16, 16, 16), 1), encoder.encode_mask(None, 1)
    assert zero.shape == none.shape == (1, 12, 4, 4, 4)
    torch.testing.assert_close(none[0, :, 1, 2, 3], encoder.no_mask_embed.weight[0])
    assert not torch.allclose(zero, none)


@torch.no_grad()
def test_clicks_keep_their_place_under_autocast(encoder):
    points, labels = torch.tensor([[[61.0, 62.0, 63.0]]]), torch.tensor([[1]])
    exact = encoder.encode_points(points, labels, 1)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(encoder.encode_points(points, labels, 1), exact)


def test_embed_dim_must_be_a_multiple_of_three():
    with pytest.raises(ValueError, match="multiple of 3"):
        PromptEncoder(embed_dim=16)
