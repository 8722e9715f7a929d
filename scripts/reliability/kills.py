"""Kill -9 at random moments: what was acknowledged is there, whole, and nothing half written is left."""

from __future__ import annotations

import sys

from reliability.killed_publishing import kill_publishing
from reliability.killed_saves import kill_saves
from reliability.killed_tasks import kill_scorings, kill_trainings

WITHIN = {"save": kill_saves, "publish": kill_publishing, "training": kill_trainings, "scoring": kill_scorings}


def kills(count: int = 100, seed: int = 0, within: str = "save") -> None:
    """Kill a server or process of its own, start it again and look, `count` times.

    Args:
        count: kills.
        seed: of the moments and labels.
        within: save (of a label), publish (of weights, and going back), training or scoring.
    """
    if within not in WITHIN:
        sys.exit(f"kills: --within must be one of {', '.join(WITHIN)}, got {within!r}")
    WITHIN[within](count, seed)
