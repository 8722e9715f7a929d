"""How far a saved label can be trusted: "high" where an expert checked it, else "low"; see seganypet.data.data_list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.store.bad_request import BadRequest
from seganypet.data.data_list import QUALITIES

LOW = "low"


def said_quality(info: Mapping[str, Any]) -> str | None:
    """The quality that a request says; None where it says nothing of it.

    Raises:
        BadRequest: one that is none.
    """
    quality = info.get("quality")
    if quality is not None and quality not in QUALITIES:
        raise BadRequest(f"quality must be 'high' (checked by an expert) or 'low', got {quality!r}"[:300])
    return quality


def qualities_of(info: Mapping[str, Any], unsaid: str) -> set[str]:
    """The qualities of a label's targets, and that of the whole map where it has none listed.

    Args:
        info: of the label map.
        unsaid: the quality of a map of which none is said.
    """
    whole = info.get("quality", unsaid)
    return {target.get("quality", whole) for target in info.get("targets") or []} or {whole}


def give_quality(info: dict[str, Any], quality: str, before: Mapping[str, Any]) -> None:
    """Note the quality of what was saved with each target, and with the label map that of its worst target; in place.

    Args:
        info: of the label map, with its targets; where `label` names one of them, that one alone was saved.
        quality: of what was saved.
        before: what stood beside the label map so far, for the targets that stay.
    """
    rest = before.get("quality", LOW)
    known = {target["name"]: target.get("quality", rest) for target in before.get("targets") or []}
    saved = info.get("label")
    for target in info["targets"]:
        target["quality"] = quality if not saved or target["name"] == saved else known.get(target["name"], rest)
    qualities = [target["quality"] for target in info["targets"]] or [quality]
    info["quality"] = LOW if LOW in qualities else quality
