"""Which parameters train, and how fast."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

UNTRAINED = re.compile(
    r"mask_decoder\.output_hypernetworks_mlps\.[1-9]"  # masks 1 to 3 are never asked for
    r"|mask_decoder\.iou_prediction_head\."  # nor is the predicted IoU
    r"|prompt_encoder\.no_mask_embed\."  # the first click goes with a mask prompt of zeros
)
"""Parameters of vit_b that no click's answer depends on. They get no gradient, in the released training as here, and
DDP stops at the second step unless they are frozen. `mask_tokens` is one tensor for all four masks, and tokens 1 to 3
take part in the attention: it is trained whole."""

ENCODERS = ("image_encoder.", "encoder.")  # vit_b's and compact's


def freeze_untrained(network: nn.Module) -> list[str]:
    """Freezes the parameters that get no gradient and returns their names."""
    frozen = []
    for name, parameter in network.named_parameters():
        if UNTRAINED.match(name):
            parameter.requires_grad_(False)
            frozen.append(name)
    return frozen


def parameter_groups(
    network: nn.Module, learning_rate: float, encoder_learning_rate: float | None = None
) -> list[dict[str, Any]]:
    """Groups for an optimiser: the image encoder, and the rest; what gets no gradient is frozen and in neither.

    Args:
        network: to train.
        learning_rate: of the rest.
        encoder_learning_rate: of the image encoder; None is the same as the rest's.
    """
    freeze_untrained(network)
    encoder: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (encoder if name.startswith(ENCODERS) else rest).append(parameter)
    rate = learning_rate if encoder_learning_rate is None else encoder_learning_rate
    return [{"params": encoder, "lr": rate}, {"params": rest, "lr": learning_rate}]
