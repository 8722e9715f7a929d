"""Which study to label next. None of these asks a model: the scores are there, or they are not."""

from __future__ import annotations

import random
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from lib.learning.scores import Scores
from seganypet.selection import farthest_first

KEPT_FOR_S = 600.0  # a study handed out is not handed to another reader for so long, while others are left


Failed = Callable[[], Collection[str]]


def unlabelled(request: dict[str, Any], datastore: Datastore, failed: Failed) -> list[str]:
    """Studies without a final label, by name; those that could not be read only where no other is left."""
    studies = sorted(datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels")))
    passed_over = failed()
    return [study for study in studies if study not in passed_over] or studies


class First(Strategy):
    """The first study by name that has no final label.

    Args:
        failed: gives the studies that could not be read.
    """

    def __init__(self, failed: Failed = tuple) -> None:
        super().__init__("First study without a final label, by name")
        self._failed = failed

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        studies = unlabelled(request, datastore, self._failed)
        return {"id": studies[0]} if studies else None


class Random(Strategy):
    """A study without a final label, the more likely the longer ago it was handed out.

    MONAI Label's own fails when every study was handed out within this second: its weights are then all 0.

    Args:
        failed: gives the studies that could not be read.
    """

    def __init__(self, failed: Failed = tuple) -> None:
        super().__init__("Random study without a final label")
        self._failed = failed

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        studies = unlabelled(request, datastore, self._failed)
        if not studies:
            return None
        now = time.time()
        served = [datastore.get_image_info(study).get("strategy", {}).get(request["strategy"], {}) for study in studies]
        weights = [1.0 + max(0.0, now - entry.get("ts", 0)) for entry in served]
        index = random.choices(range(len(studies)), weights=weights)[0]
        return {"id": studies[index], "weight": weights[index]}


class HandedOut:
    """When each study was handed out, so that readers who ask at once do not get the same one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._at: dict[str, float] = {}

    def note(self, study: str) -> None:
        """A study goes to a reader now."""
        self._at[study] = time.monotonic()

    def lately(self) -> set[str]:
        """Studies that went to a reader within `KEPT_FOR_S`."""
        now = time.monotonic()
        return {study for study, at in self._at.items() if now - at < KEPT_FOR_S}

    def longest_ago(self, studies: list[str]) -> str:
        """Of these the one that was handed out longest ago."""
        return min(studies, key=lambda study: self._at.get(study, float("-inf")))


class _Scored(Strategy):
    """Chooses among scored studies; those without a score come after them, by name.

    Args:
        description: for people.
        scores: what the scoring method left.
        handed_out: shared by all strategies.
        failed: gives the studies that could not be read.
    """

    def __init__(self, description: str, scores: Scores, handed_out: HandedOut, failed: Failed = tuple) -> None:
        super().__init__(description)
        self._scores, self._handed_out, self._failed = scores, handed_out, failed

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        with self._handed_out.lock:
            chosen = self._choose(request, datastore)
            if chosen:
                self._handed_out.note(chosen["id"])
            return chosen

    def _choose(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        scores = self._scores.take_in()
        studies = unlabelled(request, datastore, self._failed)
        if not studies:
            return None
        lately = self._handed_out.lately()
        free = [study for study in studies if study not in lately]
        if not free:
            return {"id": self._handed_out.longest_ago(studies), "why": "all were handed out lately"}
        known = lately | (set(datastore.list_images()) - set(studies))
        best = self.best([study for study in free if study in scores], scores, known)
        if best is None:
            return {"id": free[0], "why": "no study left is scored, the first by name: run the scoring 'uncertainty'"}
        return {"id": best, "why": self.description, "score": scores[best].get("score")}

    @abstractmethod
    def best(self, free: list[str], scores: Mapping[str, Mapping[str, Any]], known: set[str]) -> str | None:
        """The study to hand out, or None where none of them is scored.

        Args:
            free: studies to choose from, by name.
            scores: what is known of every study.
            known: studies that are labelled or in a reader's hands.
        """


class Uncertainty(_Scored):
    """The study whose peaks the weights are least sure of; scores of earlier weights count until there are newer."""

    def __init__(self, scores: Scores, handed_out: HandedOut, failed: Failed = tuple) -> None:
        super().__init__("The study that the model is least sure of", scores, handed_out, failed)

    def best(self, free: list[str], scores: Mapping[str, Mapping[str, Any]], known: set[str]) -> str | None:
        scored = [study for study in free if scores[study].get("score") is not None]
        return max(scored, key=lambda study: scores[study]["score"], default=None)


class Diversity(_Scored):
    """The study whose uptake is farthest from all that are labelled or in a reader's hands."""

    def __init__(self, scores: Scores, handed_out: HandedOut, failed: Failed = tuple) -> None:
        super().__init__("The study that is least like the labelled ones", scores, handed_out, failed)

    def best(self, free: list[str], scores: Mapping[str, Mapping[str, Any]], known: set[str]) -> str | None:
        scored = [study for study in free if scores[study].get("features")]
        centres = [scores[study]["features"] for study in known if scores.get(study, {}).get("features")]
        order = farthest_first([scores[study]["features"] for study in scored], centres, 1)
        return scored[order[0]] if order else None
