"""POST /scoring/uncertainty: how unsure the weights in force are of each study, and what it looks like."""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from fastapi import HTTPException
from monailabel.interfaces.exception import MONAILabelException
from monailabel.interfaces.tasks.scoring import ScoringMethod

from lib.clicks.weights import Weights
from lib.learning.scores import Scores, files_of, keep_score, to_score
from lib.learning.train_task import WEIGHTS_IN_FORCE
from lib.learning.training_run import NICENESS
from lib.store.bad_request import BadRequest
from lib.store.datastore import StudyStore
from seganypet.inference import ClickSegmenter
from seganypet.networks import load_network
from seganypet.pet import PetVolume
from seganypet.selection import study_uncertainty, uptake_features

logger = logging.getLogger(__name__)

KEYS = ("seconds_per_study", "fetch")
NOT_OURS = ("method", "client_id", "gpus", "bundle_path", WEIGHTS_IN_FORCE)


class UncertaintyScoring(ScoringMethod):
    """Asks the weights in force about the peaks of each study; see `seganypet.selection`.

    Args:
        store: the studies.
        weights: of this process; in a task's process the file that is in force comes with the request.
    """

    def __init__(self, store: StudyStore, weights: Weights) -> None:
        super().__init__("How far answers to nearby clicks on the peaks of a study differ, and its uptake features")
        self._store, self._weights = store, weights

    def info(self) -> dict[str, Any]:
        return {**super().info(), "config": {"seconds_per_study": 20, "fetch": False}}

    def check(self, request: Mapping[str, Any]) -> None:
        """Refuse what cannot be.

        Raises:
            BadRequest: a key or value that cannot be; it is named. Or a folder that takes no scores.
        """
        _settings(request)
        self._store.check_writable("scores")

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any]:
        """Score what has no score of these weights; returns how many were."""
        seconds_per_study, fetch = _settings(request)
        if "monailabel.app" not in sys.modules and os.name == "posix":  # not the server's own process
            os.nice(NICENESS)
        segmenter = self._segmenter(Path(request.get(WEIGHTS_IN_FORCE, self._weights.path)))
        unlabelled = set(self._store.get_unlabeled_images())
        studies = to_score(self._store, Scores(self._store).known(), segmenter.weights_hash, fetch=fetch)
        problems = {}
        for number, study in enumerate(studies, start=1):
            files = files_of(self._store, study)  # before they are read: what is copied meanwhile is read again
            try:
                volume = self._store.volume(study)
                score = score_study(segmenter, volume, asked=study in unlabelled, budget_s=seconds_per_study)
            except requests.RequestException as error:  # says nothing of the study: it is asked for again
                problems[study] = str(error)
                print(f"{number} of {len(studies)}, {study}: {error}", flush=True)
                continue
            except (ValueError, OSError, MONAILabelException, HTTPException) as error:
                problems[study] = getattr(error, "msg", "") or str(error)
                score = {"score": None, "problem": problems[study], "files": files}
            segmenter.clear()
            keep_score(self._store, study, {**score, "weights": segmenter.weights_hash, "ts": int(time.time())})
            print(f"{number} of {len(studies)}, {study}: {score.get('problem') or score['score']}", flush=True)
        return {"weights": segmenter.weights_hash, "scored": len(studies) - len(problems), "problems": problems}

    def _segmenter(self, file: Path) -> ClickSegmenter:
        if file == self._weights.path:
            return self._weights.segmenter()
        return ClickSegmenter(load_network(file), device=self._weights.segmenter().device)


def score_study(segmenter: ClickSegmenter, volume: PetVolume, *, asked: bool, budget_s: float) -> dict[str, Any]:
    """A study's features and, where its uncertainty is asked for, that; ready for JSON."""
    image = segmenter.encoder.image(volume)
    score: dict[str, Any] = {
        "score": None,
        "features": list(uptake_features(image.voxels.numpy(), image.grid.spacing_mm**3 / 1000)),
    }
    if asked:
        found = study_uncertainty(segmenter, volume, budget_s=budget_s)
        score |= {"score": found.score, "peaks": len(found.peaks), "complete": found.complete}
        score["seconds"] = round(found.seconds, 2)
    return score


def _settings(request: Mapping[str, Any]) -> tuple[float, bool]:
    unknown = sorted(set(request) - {*KEYS, *NOT_OURS, "uncertainty"})
    if unknown:
        raise BadRequest(f"scoring does not know {', '.join(unknown)}"[:200] + f"; it knows {', '.join(KEYS)}")
    seconds, fetch = request.get("seconds_per_study", 20), request.get("fetch", False)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise BadRequest(f"seconds_per_study must be a number above 0, got {seconds!r}"[:300])
    if not isinstance(fetch, bool):
        raise BadRequest(f"fetch must be true or false, got {fetch!r}"[:300])
    return float(seconds), fetch
