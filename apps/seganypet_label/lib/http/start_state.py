"""What the start page tells, gathered from the app."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lib.http.health import store_troubles
from lib.http.start_page import MaskRow, PageState, StudyCard
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import StudyStore
from lib.store.saved_targets import saved_by
from lib.store.study_description import shown_name

if TYPE_CHECKING:
    from lib.app import SegAnyPETApp

MOST_STUDIES = 100  # on one page; the search finds the others


def page_state(app: SegAnyPETApp, query: str) -> PageState:
    """The server's state and the studies that a search finds, those worked on first, then the newest.

    Args:
        query: words that must all stand in what a study's card shows of it, or in its UIDs.
    """
    store = app.datastore()
    studies = store.json()["objects"]
    ahead = app.ahead.progress()
    cards = [_card(store, study, entry, ahead.get(study)) for study, entry in studies.items()]
    words = query.lower().split()
    found = [card for card in cards if all(word in card.searched for word in words)]
    found.sort(key=lambda card: card.date, reverse=True)
    found.sort(key=lambda card: max((row.at for row in card.rows), default=0.0), reverse=True)
    weights, embeddings = app.weights.info(), app.weights.segmenter().encoder.embeddings
    server = {
        "Weights": f"{weights['file']}, {weights['architecture']}, {weights['hash'][:12]}",
        "Device": weights["device"],
        "Embeddings kept": f"{len(embeddings)} windows, {_mb(embeddings.bytes_held)} of {_mb(embeddings.max_bytes)}",
        "Studies kept": f"{_mb(app.volumes.bytes_held())} of {_mb(app.volumes.max_bytes)}",
        "Studies": f"{len(cards)} in {store.archive.url if isinstance(store, ArchiveStore) else 'a folder'}",
        "Encoding ahead": _encoding(ahead.values()),
    }
    return PageState(
        server=server,
        problem="; ".join(filter(None, (str(weights["problem"]), *store_troubles(store)))),
        labels=app.options.labels,
        studies=tuple(found[:MOST_STUDIES]),
        found=len(found),
        query=query,
        experts=app.options.final_quality == "high",
    )


def _card(store: Any, study: str, entry: Mapping[str, Any], ahead: Mapping[str, Any] | None) -> StudyCard:
    info = entry["image"]["info"]
    about = info.get("about") or {}
    rows = []
    if isinstance(store, StudyStore):
        rows += [
            MaskRow(
                shown.label,
                "last",
                shown.params,
                len(shown.clicks),
                shown.reader or shown.client,
                shown.at,
                seen=shown.seen,
            )
            for shown in store.last_masks.of_study(study)
            if not shown.saved
        ]
    for tag, label in sorted(entry["labels"].items()):
        said = label["info"]
        for target in said.get("targets", []):
            clicks = target.get("clicks")
            by, at = saved_by(target, said)
            checked = target.get("quality") == "high"
            rows.append(MaskRow(target["name"], tag, target, len(clicks or ()), by, at, checked))
    encoded = f"{ahead['state']}: {ahead['encoded']} of {ahead['windows'] or '?'} windows" if ahead else ""
    return StudyCard(
        study=study,
        study_uid=str(about.get("study_uid", "")),
        series_uid=str(info.get("series_uid", "")),
        patient=" · ".join(filter(None, (shown_name(about.get("patient")), str(about.get("patient_id", ""))))),
        date=str(about.get("date", "")),
        description=str(about.get("description") or about.get("study_description") or info.get("name", "")),
        encoded=encoded,
        rows=tuple(rows),
    )


def _encoding(progress: Iterable[Mapping[str, Any]]) -> str:
    states = [str(entry["state"]) for entry in progress]
    working = sum(state in ("encoding", "waiting") for state in states)
    return f"{working} studies in work, {len(states) - working} done" if states else "nothing was opened yet"


def _mb(number: float) -> str:
    return f"{number / 2**20:.0f} MB"
