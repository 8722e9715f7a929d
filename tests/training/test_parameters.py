import torch

from seganypet.networks import SegAnyPETNetwork, build_network
from seganypet.training import BalancedClickLoss, ClickRollout
from seganypet.training.parameters import freeze_untrained, parameter_groups

TINY = {
    "image_encoder": {"img_size": 32, "embed_dim": 24, "depth": 1, "num_heads": 2, "out_chans": 48, "window_size": 2,
                      "global_attn_indexes": []},
    "prompt_encoder": {"embed_dim": 48, "image_embedding_size": [2, 2, 2], "input_image_size": [32, 32, 32]},
    "mask_decoder": {"transformer_dim": 48, "transformer": {"num_heads": 4, "mlp_dim": 64}},
}  # fmt: skip


def without_gradient(network) -> set[str]:
    """Names of trainable parameters that a rollout with every kind of step leaves without a gradient."""
    size = network.window_size
    targets = torch.zeros(1, 1, size, size, size, dtype=torch.bool)
    targets[..., 4:12, 4:12, 4:12] = True
    rollout = ClickRollout(network, clicks=2, random_count=False, gradient_share=1.0, mask_only_share=1.0).train()
    BalancedClickLoss()(rollout(torch.rand(1, 1, size, size, size), targets, torch.tensor([1])), targets).backward()
    return {name for name, value in network.named_parameters() if value.requires_grad and value.grad is None}


def test_what_vit_b_leaves_without_gradient_is_what_is_frozen():
    torch.manual_seed(0)
    unused = without_gradient(SegAnyPETNetwork.from_constructor(TINY))
    network = SegAnyPETNetwork.from_constructor(TINY)
    assert set(freeze_untrained(network)) == unused
    assert without_gradient(network) == set()
    assert {name.split(".")[1] for name in unused} == {
        "output_hypernetworks_mlps", "iou_prediction_head", "no_mask_embed"
    }  # fmt: skip


def test_all_of_compact_trains():
    network = build_network("compact")
    assert freeze_untrained(network) == []
    assert without_gradient(network) == set()


def test_encoder_and_rest_have_rates_of_their_own():
    network = SegAnyPETNetwork.from_constructor(TINY)
    encoder, rest = parameter_groups(network, 8e-5, 8e-4)
    assert (encoder["lr"], rest["lr"]) == (8e-4, 8e-5)
    assert {id(value) for value in encoder["params"]} == {id(value) for value in network.image_encoder.parameters()}
    trained = sum(value.requires_grad for value in network.parameters())
    assert len(encoder["params"]) + len(rest["params"]) == trained
    assert [group["lr"] for group in parameter_groups(network, 1e-3)] == [1e-3, 1e-3]
