"""Which study to label next, where no model is asked."""

from __future__ import annotations

import random
import time
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy


class First(Strategy):
    """The first study by name that has no final label."""

    def __init__(self) -> None:
        super().__init__("First study without a final label, by name")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        studies = sorted(datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels")))
        return {"id": studies[0]} if studies else None


class Random(Strategy):
    """A study without a final label, the more likely the longer ago it was handed out.

    MONAI Label's own fails when every study was handed out within this second: its weights are then all 0.
    """

    def __init__(self) -> None:
        super().__init__("Random study without a final label")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        studies = sorted(datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels")))
        if not studies:
            return None
        now = time.time()
        served = [datastore.get_image_info(study).get("strategy", {}).get(request["strategy"], {}) for study in studies]
        weights = [1.0 + max(0.0, now - entry.get("ts", 0)) for entry in served]
        index = random.choices(range(len(studies)), weights=weights)[0]
        return {"id": studies[index], "weight": weights[index]}
