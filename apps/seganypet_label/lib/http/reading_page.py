"""The reading page as HTML: one study, its findings at the side. All that happens on it stands in static/read/*.js."""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import quote

ASSETS = Path(__file__).resolve().parents[2] / "static" / "read"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}

TOOLS = (
    ("click", "Click", "1", "Click: what belongs. Alt-click or right click: what does not."),
    ("brush", "Brush", "B", "Paint into the finding."),
    ("eraser", "Eraser", "E", "Take out of the finding."),
    ("t41", "≥ 41 %", "4", "The region above 41 % of the maximum within 2 cm of the click."),
    ("t50", "≥ 50 %", "5", "The region above 50 % of the maximum within 2 cm of the click."),
    ("suv2.5", "SUV 2.5", "", "The region above SUV 2.5 around the maximum within 2 cm of the click."),
    ("suv4", "SUV 4", "", "The region above SUV 4 around the maximum within 2 cm of the click."),
)
HELP = (
    ("Click", "belongs to the finding"),
    ("Alt-click, right click", "does not belong to it"),
    ("Shift-click", "move the crosshair only"),
    ("Wheel, ↑ ↓, Page keys", "through the slices of the view under the pointer"),
    ("← →, Shift-↑ ↓", "move the crosshair in that view"),
    ("Enter, Alt-Enter", "click at the crosshair"),
    ("Ctrl-wheel, + −", "zoom"),
    ("Two fingers", "on a screen as on a trackpad: apart zooms, up and down goes through the slices"),
    ("Drag", "pan; on the MIP: turn the patient"),
    ("Right-drag up and down", "upper end of the SUV window"),
    ("W", "next SUV window"),
    ("N", "next finding"),
    ("Ctrl-Z, Ctrl-Shift-Z", "back and forth, without limit"),
    ("Ctrl-click on a mark", "take that click back"),
    ("Backspace", "take the last click of the finding back"),
    ("1, B, E, 4, 5", "click, brush, eraser, 41 %, 50 %"),
    ("[ and ]", "smaller and larger brush"),
    ("H", "hide and show all findings"),
    ("R", "reset zoom and pan"),
    ("Ctrl-S", "save all findings"),
    ("?", "this sheet"),
)


def reading_page(study: str, labels: tuple[str, ...]) -> str:
    """The whole page; nothing of the patient stands in it, its script asks for that."""
    names = "".join(f'<option value="{escape(label)}">' for label in labels)
    tools = "".join(
        f'<button type="button" class="tool" data-tool="{tool}" title="{escape(hint)}{f" ({key})" if key else ""}"'
        f' aria-pressed="false">{escape(name)}{f" <kbd>{key}</kbd>" if key else ""}</button>'
        for tool, name, key, hint in TOOLS
    )
    sheet = "".join(f"<dt>{escape(keys)}</dt><dd>{escape(what)}</dd>" for keys, what in HELP)
    views = "".join(
        f'<figure class="view {name}"><canvas data-view="{name}" tabindex="0" aria-label="{name} slice"></canvas>'
        f"</figure>"
        for name in ("axial", "coronal", "sagittal")
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>SegAnyPET: {escape(study)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/read-static/read.css"></head>
<body data-study="{escape(study)}" data-address="{escape(quote(study, safe=""))}">
<header><a href="/" title="All studies">SegAnyPET</a><div id="patient"><strong>{escape(study)}</strong></div>
<div id="suv-source"></div><p class="device">Not a medical device</p>
<button type="button" id="help" title="Keys and mouse (?)">?</button></header>
<div id="banner" role="alert" hidden></div>
<main>
<section id="views" aria-label="Views">{views}
<figure class="view mip"><canvas data-view="mip" tabindex="0" aria-label="Maximum intensity projection"></canvas>
<button type="button" id="turn" aria-pressed="false">Turn</button></figure>
<div id="loading" role="status"><progress max="1" value="0"></progress><span>Loading</span></div></section>
<aside>
<div class="tools" role="toolbar" aria-label="Tools">{tools}
<label>Brush <input id="brush" type="range" min="2" max="40" value="8"> <output id="brush-mm"></output></label>
<label><span id="window-unit">SUV</span> 0 to <select id="window" aria-label="Upper end of the window"></select></label>
</div>
<p id="status" role="status" aria-live="polite"></p>
<div class="table"><table id="findings"><thead><tr><th></th><th>Finding</th><th>mL</th><th>max</th><th>mean</th>
<th>peak</th><th>TLG</th></tr></thead><tbody></tbody><tfoot></tfoot></table></div>
<datalist id="labels">{names}</datalist>
<div class="actions"><button type="button" id="next">Next finding <kbd>N</kbd></button>
<button type="button" id="undo" title="Ctrl-Z">Undo</button><button type="button" id="redo">Redo</button></div>
<div class="actions"><input id="reader" maxlength="64" placeholder="your name" aria-label="Your name">
<button type="button" id="save" class="first">Save all</button></div>
<div class="actions" id="export">Export <button type="button" data-format="seg" class="dicom">DICOM SEG</button>
<button type="button" data-format="sr" class="dicom" title="The SEG, and its measures as DICOM SR">SEG + SR</button>
<button type="button" data-format="nifti">NIfTI</button><button type="button" data-format="csv">CSV</button></div>
<details id="removed" hidden><summary>Deleted</summary><ul></ul></details>
</aside>
</main>
<footer><span id="under">&nbsp;</span><span id="encoding" role="status"></span></footer>
<dialog id="sheet"><h2>Keys and mouse</h2><dl>{sheet}</dl><form method="dialog"><button>Close</button></form></dialog>
<script type="module" src="/read-static/page.js"></script></body></html>"""
