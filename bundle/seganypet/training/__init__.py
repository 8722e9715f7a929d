"""Click rollouts, their losses, and the joints to MONAI's trainers."""

from seganypet.training.losses import BalancedClickLoss
from seganypet.training.rollout import ClickRollout
from seganypet.training.start import start_network
from seganypet.training.wiring import (
    DiceAtClicks,
    EpochSampler,
    EpochSeeder,
    GradientClipping,
    LossBar,
    MovingAverage,
    NetworkPublisher,
    call_network,
    prepare_rollout,
)

__all__ = [
    "BalancedClickLoss",
    "ClickRollout",
    "DiceAtClicks",
    "EpochSampler",
    "EpochSeeder",
    "GradientClipping",
    "LossBar",
    "MovingAverage",
    "NetworkPublisher",
    "call_network",
    "prepare_rollout",
    "start_network",
]
