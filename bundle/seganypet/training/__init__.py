"""Click rollouts, the strategies and losses they are trained by, and the joints to MONAI's trainers."""

from seganypet.training.batches import call_network, prepare_rollout
from seganypet.training.checkpoint import RunCheckpoint
from seganypet.training.consistency import ConsistencyRamp
from seganypet.training.faults import StopOnBadLoss
from seganypet.training.flip_diagnostic import FlipDiagnostic
from seganypet.training.losses import BalancedClickLoss, DiceCEClickLoss
from seganypet.training.panel import ClickPanel
from seganypet.training.parameters import parameter_groups
from seganypet.training.process_group import end_process_group
from seganypet.training.progress import LossBar, RunEstimate, StrategyScalars
from seganypet.training.rectification import Rectification
from seganypet.training.rollout import ClickRollout
from seganypet.training.run_report import RunReport
from seganypet.training.sampling import WindowSampler
from seganypet.training.seeding import Seeding
from seganypet.training.start import phantom_cohort, start_network
from seganypet.training.stepping import GradientClipping, MovingAverage, StrategyClock
from seganypet.training.strategies import RolloutLabel, make_strategy
from seganypet.training.validation import DiceAtClicks, NetworkPublisher

__all__ = [
    "BalancedClickLoss",
    "ClickPanel",
    "ClickRollout",
    "ConsistencyRamp",
    "DiceAtClicks",
    "DiceCEClickLoss",
    "FlipDiagnostic",
    "GradientClipping",
    "LossBar",
    "MovingAverage",
    "NetworkPublisher",
    "Rectification",
    "RolloutLabel",
    "RunCheckpoint",
    "RunEstimate",
    "RunReport",
    "Seeding",
    "StopOnBadLoss",
    "StrategyClock",
    "StrategyScalars",
    "WindowSampler",
    "call_network",
    "end_process_group",
    "make_strategy",
    "parameter_groups",
    "phantom_cohort",
    "prepare_rollout",
    "start_network",
]
