"""What a request to train may say, checked before a process is started."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lib.store.bad_request import BadRequest
from seganypet.training.strategies import STRATEGIES

# what MONAI Label and its clients put beside a task's own keys
NOT_OURS = ("model", "client_id", "gpus", "bundle_path", "local_rank", "weights_in_force")


@dataclass(frozen=True)
class TrainSettings:
    """The keys of the train task's config; small enough for a laptop to finish in minutes.

    Args:
        max_epochs: how often the new weights are validated and may be published.
        windows: training windows in all epochs together, but at least one of each study in an epoch.
        learning_rate: highest one of the schedule.
        val_split: share of the patients whose labelled studies are held out, by PatientID, or by a study's name where
            that is not known; the same ones each time.
        use_original: train on the model's own output too, as low quality, where a study has no final label.
        strategy: how labels of two qualities are learned from; "finetune" takes all alike, which none of the others has
            beaten yet (docs/ablation.md).
        margin: by how much Dice on the labels held out must grow for new weights to be published.
        publish_unproven: publish where no label is held out, judged on the very labels that were trained on.
    """

    max_epochs: int = 4
    windows: int = 240
    learning_rate: float = 1e-4
    val_split: float = 0.2
    use_original: bool = False
    strategy: str = "finetune"
    margin: float = 0.005
    publish_unproven: bool = False

    @classmethod
    def from_request(cls, request: Mapping[str, Any], models: tuple[str, ...] = ()) -> TrainSettings:
        """Settings of a request; what it does not say is as in the config.

        Args:
            request: of MONAI Label.
            models: whose names may be keys, as OHIF sends them.

        Raises:
            BadRequest: a key or a value that cannot be; it is named.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(request) - {*known, *NOT_OURS, *models})
        if unknown:
            raise BadRequest(f"training does not know {', '.join(unknown)}"[:200] + f"; it knows {', '.join(known)}")
        defaults = cls()
        return cls(
            max_epochs=int(_number(request, "max_epochs", defaults.max_epochs, 1, 1000, whole=True)),
            windows=int(_number(request, "windows", defaults.windows, 1, 1_000_000, whole=True)),
            learning_rate=_number(request, "learning_rate", defaults.learning_rate, 1e-8, 1.0),
            val_split=_number(request, "val_split", defaults.val_split, 0.0, 0.9),
            use_original=_flag(request, "use_original", defaults.use_original),
            strategy=_one_of(request, "strategy", defaults.strategy, STRATEGIES),
            margin=_number(request, "margin", defaults.margin, 0.0, 1.0),
            publish_unproven=_flag(request, "publish_unproven", defaults.publish_unproven),
        )

    def windows_per_study(self, studies: int) -> int:
        """Windows of each study in an epoch."""
        return max(1, round(self.windows / (self.max_epochs * studies)))


def _number(
    request: Mapping[str, Any], key: str, default: float, least: float, most: float, *, whole: bool = False
) -> float:
    given = request.get(key, default)
    try:
        value = float(given) if isinstance(given, int | float | str) and not isinstance(given, bool) else math.nan
    except ValueError:
        value = math.nan
    if not least <= value <= most or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise BadRequest(f"{key} must be {kind} from {least:g} to {most:g}, got {given!r}"[:300])
    return value


def _one_of(request: Mapping[str, Any], key: str, default: str, allowed: tuple[str, ...]) -> str:
    given = request.get(key, default)
    if given not in allowed:
        raise BadRequest(f"{key} must be one of {', '.join(allowed)}, got {given!r}"[:300])
    return str(given)


def _flag(request: Mapping[str, Any], key: str, default: bool) -> bool:
    given = request.get(key, default)
    if isinstance(given, bool):
        return given
    if isinstance(given, str) and given.lower() in ("true", "false"):
        return given.lower() == "true"
    raise BadRequest(f"{key} must be true or false, got {given!r}"[:300])
