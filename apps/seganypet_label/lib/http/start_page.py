"""The start page as HTML: plain, escaped, nothing loaded from elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lib.store.datastore import FINAL
from lib.store.last_masks import UNNAMED

ASSETS = Path(__file__).resolve().parents[2] / "static"
LAST = "last"


@dataclass(frozen=True)
class MaskRow:
    """One target of a study.

    Args:
        label: its name.
        seen: of a last mask, which one it is, see `LastMask.seen`.
        kind: "last" for the last mask that was shown, else the tag it is saved under.
        numbers: of `measure_uptake`.
        clicks: how many it took; 0 where that is not known.
        who: reader or viewer.
        at: when, in seconds since 1970.
        checked: whether an expert checked it.
    """

    label: str
    kind: str
    numbers: Mapping[str, Any]
    clicks: int
    who: str
    at: float
    checked: bool = False
    seen: str = ""


@dataclass(frozen=True)
class StudyCard:
    """One study.

    Args:
        study: its id.
        study_uid: StudyInstanceUID where OHIF can open it, else "".
        patient: name and id.
        date: YYYYMMDD.
        description: of the series.
        encoded: how far it is encoded ahead.
        rows: its targets.
        series_uid: SeriesInstanceUID of a DICOM study, else "".
    """

    study: str
    study_uid: str
    patient: str
    date: str
    description: str
    encoded: str
    rows: tuple[MaskRow, ...]
    series_uid: str = ""

    @property
    def day(self) -> str:
        return f"{self.date[:4]}-{self.date[4:6]}-{self.date[6:8]}" if len(self.date) == 8 else self.date

    @property
    def searched(self) -> str:
        said = (self.study, self.patient, self.date, self.day, self.description, self.study_uid, self.series_uid)
        return " ".join(said).lower()


@dataclass(frozen=True)
class PageState:
    """All that the page tells.

    Args:
        server: name → value.
        problem: what is wrong with the weights, the folder or the archive, or "".
        labels: names to choose from.
        studies: those shown.
        found: how many there are.
        query: what was searched for.
        experts: whether readers are taken for experts unless they say otherwise.
    """

    server: Mapping[str, str]
    problem: str
    labels: tuple[str, ...]
    studies: tuple[StudyCard, ...]
    found: int
    query: str
    experts: bool = False


def policy(nonce: str) -> str:
    """Content-Security-Policy of the page: its own style and script, and nothing else."""
    return (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def page(state: PageState, *, said: str, nonce: str) -> str:
    """The whole page."""
    style = (ASSETS / "start.css").read_text(encoding="utf-8")
    script = (ASSETS / "start.js").read_text(encoding="utf-8")
    server = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in state.server.items()
    )
    problem = f'<p class="problem" role="alert">{escape(state.problem)}</p>' if state.problem else ""
    note = f'<p class="said" role="status">{escape(said)}</p>' if said else ""
    more = (
        f"{len(state.studies)} of {state.found} shown" if state.found > len(state.studies) else f"{state.found} found"
    )
    where = (
        "<em>Read</em> opens a study here: click on what you look for. Or open it in OHIF where it is DICOM, or in 3D "
        "Slicer with the module <em>MONAI Label</em>."
    )
    names = "".join(f'<option value="{escape(label)}">' for label in state.labels)
    studies = "".join(_study(card, state) for card in state.studies) or '<p class="none">No study was found.</p>'
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>SegAnyPET</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style nonce="{nonce}">{style}</style></head>
<body><header><h1>SegAnyPET</h1><p>{where}</p>
<nav><a href="/api">API</a><a href="/info/">Info</a></nav></header>
<main>{note}<div data-live="problem">{problem}</div>
<dl class="server" data-live="server">{server}</dl>
<form class="search" role="search"><input type="search" name="q" value="{escape(state.query)}"
 placeholder="patient, date, description or UID" aria-label="Search studies"><button>Search</button>
<span>{more}</span></form>
<datalist id="labels">{names}</datalist>
{studies}</main>
<footer>For research. A mask is a proposal: its reader answers for what is saved.</footer>
<script nonce="{nonce}">{script}</script></body></html>"""


def routes_page(routes: Iterable[tuple[str, str, Mapping[str, Any]]]) -> str:
    """The list of routes.

    Args:
        routes: method, path and what OpenAPI says of each.
    """
    rows = "".join(
        f"<tr><td>{method.upper()}<td><code>{escape(path)}</code><td>{escape(about.get('summary', ''))}</tr>"
        for method, path, about in routes
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>SegAnyPET: API</title></head>
<body><h1>SegAnyPET for MONAI Label: API</h1><p>What each takes: <a href="/openapi.json">openapi.json</a></p>
<table>{rows}</table></body></html>"""


def _study(card: StudyCard, state: PageState) -> str:
    read_link = f'<a class="open" href="/read/{quote(card.study, safe="")}">Read</a> '
    open_link = (
        f'<a class="open second" href="/ohif/monai-label?StudyInstanceUIDs={quote(card.study_uid)}">Open in OHIF</a>'
        if card.study_uid
        else ""
    )
    title = escape(card.patient or card.study)
    about = " · ".join(escape(part) for part in (card.day, card.description) if part)
    rows = "".join(_row(card, row, state) for row in card.rows)
    table = (
        "<table><thead><tr><th>Structure</th><th>State</th><th>Volume mL</th><th>SUV max</th><th>SUV mean</th>"
        f"<th>SUV peak</th><th>TLG g</th><th>Clicks</th><th>By</th><th>At</th><th></th></tr></thead>{rows}</table>"
        if rows
        else ""
    )
    encoded = f'<span class="encoded">{escape(card.encoded)}</span>' if card.encoded else ""
    return f"""<section class="study" data-live="{escape(card.study)}">
<div class="head"><div><h2>{title}</h2><p>{about}</p><p class="uid">{escape(card.study)}</p></div>
<div class="side">{read_link}{open_link}{encoded}</div></div>{table}</section>"""


def _row(card: StudyCard, row: MaskRow, state: PageState) -> str:
    numbers = row.numbers
    why = escape(str(numbers.get("suv_unavailable") or ""))
    cells = "".join(
        f'<td class="number" title="{why}">{_number(numbers.get(key))}</td>'
        for key in ("volume_ml", "suv_max", "suv_mean", "suv_peak", "tlg")
    )
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.at)) if row.at else ""
    form = _form(card, row, state) if row.kind == LAST else ""
    kind = "not saved" if row.kind == LAST else f"{row.kind}, checked" if row.checked else row.kind
    tag = f'<span class="tag {"last" if row.kind == LAST else "saved"}">{escape(kind)}</span>'
    return (
        f"<tr><td>{escape(row.label)}</td><td>{tag}</td>{cells}<td class='number'>{row.clicks or ''}</td>"
        f"<td>{escape(row.who)}</td><td>{at}</td><td>{form}</td></tr>"
    )


def _form(card: StudyCard, row: MaskRow, state: PageState) -> str:
    saved = json.dumps({other.label: other.at for other in card.rows if other.kind == FINAL})
    name = "" if row.label == UNNAMED else row.label
    hidden = "".join(
        f'<input type="hidden" name="{key}" value="{escape(value)}">'
        for key, value in (
            ("study", card.study),
            ("label", row.label),
            ("seen", row.seen),
            ("saved", saved),
            ("q", state.query),
        )
    )
    return f"""<form method="post" action="/seganypet/final">{hidden}
<input name="name" list="labels" required maxlength="64" value="{escape(name)}" placeholder="structure"
 aria-label="Structure"><input name="reader" class="reader" maxlength="64" placeholder="your name"
 aria-label="Your name"><input type="hidden" name="quality" value="low"><label><input type="checkbox" name="quality"
 value="high"{" checked" if state.experts else ""}> checked by an expert</label>
<button>Save as final</button></form>"""


def _number(value: Any) -> str:
    return "–" if not isinstance(value, int | float) else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
