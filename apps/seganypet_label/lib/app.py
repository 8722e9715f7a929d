"""The MONAI Label app: one click model over a folder of PET studies."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import processes
from monailabel.utils.sessions import SessionInfo, Sessions

import seganypet
from lib.app_settings import AppSettings
from lib.clicks.click_task import ClickTask
from lib.clicks.drawing_sessions import DrawingSessions
from lib.clicks.encode_ahead import EncodeAhead
from lib.clicks.study_access import OpenStudy, StudyAccess
from lib.clicks.weights import Weights
from lib.learning.next_study import Diversity, First, HandedOut, Random, Uncertainty
from lib.learning.scores import Scores, to_score
from lib.learning.scoring import UncertaintyScoring
from lib.learning.train_task import UpdateModel
from lib.learning.trained_weights import trained_file
from lib.store.archive_store import ArchiveStore
from lib.store.bad_request import BadRequest
from lib.store.datastore import StudyStore
from lib.store.folder_instances import FolderInstances
from lib.store.names import is_session_id
from lib.store.volumes import Volumes
from seganypet.inference import keep_freed_memory

logger = logging.getLogger(__name__)
MB = 2**20


class SegAnyPETApp(MONAILabelApp):
    """Serves clicks on whole-body PET to Slicer and OHIF.

    Args:
        app_dir: the app's folder.
        studies: folder of NIfTI files and DICOM PET series, or a DICOMweb URL.
        conf: `--conf key value` pairs; see `AppSettings`.

    Raises:
        ValueError, FileNotFoundError: a `--conf` value that cannot be; the key is named.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        keep_freed_memory()
        self.options = AppSettings.from_conf(conf, bundle=Path(seganypet.__file__).resolve().parents[1])
        self.volumes = Volumes(self.options.study_mb * MB)
        self.weights_given = bool(conf.get("weights"))
        self.click_tasks: dict[str, ClickTask] = {}
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="SegAnyPET",
            description="Organs and lesions of a whole-body PET by clicks",
            labels=list(self.options.labels),
        )
        store = self.datastore()
        if isinstance(store, StudyStore):
            self.folder_instances = FolderInstances(store)
        self.drawing_sessions = DrawingSessions(
            self.options.drawing_sessions,
            self.options.study_mb * MB,
            idle_s=self.options.drawing_idle_s,
            alive_s=self.options.drawing_alive_s,
        )
        self.access = StudyAccess(self.datastore(), self.sessions(), self.volumes)
        logger.info("weights in force: %s", self.weights.info())

    def init_datastore(self) -> Datastore:
        if self.studies.startswith(("http://", "https://")):
            if settings.MONAI_LABEL_DATASTORE.lower() in ("xnat", "dsa"):
                return super().init_datastore()
            options = self.options
            return ArchiveStore.open(
                self.studies, self.volumes, send_sr=options.send_sr, final_quality=options.final_quality
            )
        return StudyStore(
            self.studies,
            self.volumes,
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            final_quality=self.options.final_quality,
        )

    def init_infers(self) -> dict[str, InferTask]:
        store = self.datastore()
        self.weights = Weights(
            self.options.weights,
            self.options.device,
            cache_bytes=self.options.embedding_mb * MB,
            trained=trained_file(store.root) if isinstance(store, StudyStore) else None,
            start_trained=not self.weights_given,
        )
        self.ahead = EncodeAhead(self.weights, self.options.encode_ahead_s)
        self.click_tasks = {self.options.model: ClickTask(self.options.labels, self.weights, self.volumes)}
        return dict(self.click_tasks)

    def init_trainers(self) -> dict[str, TrainTask]:
        store, options = self.datastore(), self.options
        if not isinstance(store, StudyStore):
            return {}
        return {options.model: UpdateModel(store, options.bundle, str(options.device), (options.model,))}

    def init_strategies(self) -> dict[str, Strategy]:
        strategies: dict[str, Strategy] = {"random": Random(self.ahead.failed), "first": First(self.ahead.failed)}
        store = self.datastore()
        if isinstance(store, StudyStore):
            self.scores, handed_out = Scores(store), HandedOut()
            strategies["uncertainty"] = Uncertainty(self.scores, handed_out, self.ahead.failed)
            strategies["diversity"] = Diversity(self.scores, handed_out, self.ahead.failed)
        return strategies

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        store = self.datastore()
        return {"uncertainty": UncertaintyScoring(store, self.weights)} if isinstance(store, StudyStore) else {}

    def async_scoring(self, method: str | None, params: dict[str, Any] | None = None) -> Any:
        """Scoring that somebody asks for; MONAI Label would start it at every start, training and sample."""
        return super().async_scoring(method, params) if method else {}

    def info(self) -> dict[str, Any]:
        return {**super().info(), "encoded_ahead": self.ahead.progress()}

    def on_init_complete(self) -> None:
        super().on_init_complete()
        threading.Thread(target=self.weights.warm_up, name="warm-up", daemon=True).start()

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """The study to label next.

        Raises:
            BadRequest: a `strategy`, or a `label_tag` whose lack is asked for, that is no text.
        """
        for key in ("strategy", "label_tag"):
            if not isinstance(request.get(key) or "", str):
                raise BadRequest(f"{key} must be a name, got {request[key]!r}"[:200])
        sample: dict[str, Any] = super().next_sample(request)
        if sample:
            study = sample["id"]
            if request.get("strategy") in ("uncertainty", "diversity"):
                self._keep_scores_fresh()
            self.ahead.open(study, lambda: self.access.study(study).volume)
        return sample

    def _keep_scores_fresh(self) -> None:
        """Score what has no score of the weights in force, in the background, where nothing is being scored.

        A reader is given a study also where the folder takes no scores.
        """
        store = self.datastore()
        if not self._auto_update_scoring or not isinstance(store, StudyStore) or processes("scoring"):
            return
        if not store.is_writable():
            return
        if to_score(store, self.scores.known(), self.weights.segmenter().weights_hash):
            AsyncTask.run("scoring", request={"method": "uncertainty"})

    def opened(self, study: OpenStudy) -> None:
        """Somebody works on a study: encode the rest of it."""
        if study.study_id:  # read again when its turn comes, so that waiting holds no volume
            self.ahead.open(study.name, lambda: self.access.study(study.study_id).volume)
        else:
            self.ahead.open(study.name, lambda: study.volume)

    def _load_sessions(self, load: bool = False) -> Sessions | None:
        return _WatchedSessions(self) if load else None


class _WatchedSessions(Sessions):
    """Sessions whose image is encoded as soon as it has been uploaded."""

    def __init__(self, app: SegAnyPETApp) -> None:
        super().__init__(settings.MONAI_LABEL_SESSION_PATH, settings.MONAI_LABEL_SESSION_EXPIRY)
        self._app = app

    def add_session(self, *args: Any, **kwargs: Any) -> tuple[str, SessionInfo]:
        session_id, session = super().add_session(*args, **kwargs)
        if is_session_id(session_id):
            self._app.ahead.open(f"session {session_id}", lambda: self._app.access.session(session_id).volume)
        return session_id, session
