"""/health for load balancers, /metrics for Prometheus, the log for people."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse
from monailabel.config import settings
from monailabel.endpoints.logs import get_logs
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.utils import processes
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from lib.http.watch import REGISTRY
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import StudyStore

if TYPE_CHECKING:
    from lib.app import SegAnyPETApp

router = APIRouter(include_in_schema=False)
USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
ADMIN = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))
ROOM_MB = 500  # on the disk that labels are written to; a whole body's label takes a tenth of a megabyte
MB = 2**20


@router.api_route("/health", methods=["GET", "HEAD"])
def health() -> JSONResponse:
    """ready, or degraded with the reasons; 503 and "not ready" where no click can be answered.

    Asks nobody who they are.
    """
    try:
        app: SegAnyPETApp = app_instance()
        app.weights.segmenter()
    except Exception as error:
        return JSONResponse({"status": "not ready", "reasons": [f"no weights: {type(error).__name__}"]}, 503)
    reasons = list(troubles(app))
    return JSONResponse({"status": "degraded" if reasons else "ready", "reasons": reasons})


def troubles(app: SegAnyPETApp) -> Iterator[str]:
    """What people should look at though clicks are answered; no study is named."""
    if app.weights.info()["problem"]:
        yield "the file of weights cannot be read, or a new one does not load; those before it are in force"
    yield from store_troubles(app.datastore())


def store_troubles(store: object) -> Iterator[str]:
    """Those of where studies and labels are."""
    if not isinstance(store, StudyStore):
        return
    if not store.is_there():
        yield "the studies folder is not there"
        return
    if not store.is_writable():
        yield "labels cannot be saved: the studies folder is read-only"
    free = shutil.disk_usage(store.root).free
    if free < ROOM_MB * MB:
        yield f"the disk of the studies folder has {free // MB} MB left"
    if isinstance(store, ArchiveStore) and store.trouble:
        yield store.trouble


@router.get("/metrics")
def metrics(user: User = USER) -> Response:
    """Counts and seconds since the server's start, and what it holds now, in Prometheus' text format."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


@router.get("/logs/")
def logs(lines: int = 300, user: User = ADMIN) -> Response:
    """The log's last lines; MONAI Label's own page for them runs scripts of other machines."""
    file = Path(settings.MONAI_LABEL_APP_DIR) / "logs" / "app.log"
    shown: Response = get_logs(str(file), lines, html=False, text=True, refresh=0)
    return shown


class Held:
    """What the app holds, gathered when somebody asks. Registered once, with the app that answers."""

    def collect(self) -> Iterator[Metric]:
        """The gauges; none before the app is there."""
        try:
            app: SegAnyPETApp = app_instance()
        except Exception:
            return
        yield from _cache_gauges(app)
        states = [entry["state"] for entry in app.ahead.progress().values()]
        waiting = sum(state in ("waiting", "encoding") for state in states)
        status = app.datastore().status()
        for name, about, now in (
            ("encode_ahead_waiting", "Studies that wait to be encoded", waiting),
            ("training_running", "Trainings under way", len(processes("train") or ())),
            ("studies", "Studies known", status.get("total", 0)),
            ("studies_labelled", "Studies with a final label", status.get("completed", 0)),
        ):
            yield GaugeMetricFamily(f"seganypet_{name}", about, value=now)

    def describe(self) -> list[Metric]:
        return []


def _cache_gauges(app: SegAnyPETApp) -> Iterator[Metric]:
    kept = GaugeMetricFamily("seganypet_cache_bytes", "Bytes that a cache holds", labels=["cache"])
    most = GaugeMetricFamily("seganypet_cache_bytes_max", "Bytes that a cache may hold", labels=["cache"])
    for name, (held, bound) in _caches(app).items():
        kept.add_metric([name], held)
        most.add_metric([name], bound)
    yield kept
    yield most


def _caches(app: SegAnyPETApp) -> dict[str, tuple[Any, Any]]:
    encoder = app.weights.segmenter().encoder
    store = app.datastore()
    found = {
        "embeddings": (encoder.embeddings.bytes_held, encoder.embeddings.max_bytes),
        "images": (encoder.images.bytes_held, encoder.images.max_bytes),
        "volumes": (app.volumes.bytes_held(), app.volumes.max_bytes),
    }
    if isinstance(store, StudyStore):
        found["last_masks"] = (store.last_masks.bytes_held(), store.last_masks.max_bytes)
    return found


REGISTRY.register(Held())
