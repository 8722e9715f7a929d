"""A click request, as Slicer and OHIF send it and as our own page does, checked: which prompts, which answer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lib.store.bad_request import BadRequest
from lib.store.kept_text import check_text
from seganypet.clicks import Click, Prompt
from seganypet.clicks.reading import prompt_json, read_prompts

MAX_CLICKS = 1000
RESULT_EXTENSIONS = (".nrrd", ".nii.gz", ".nii")
RESULT_DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32")
SELECT_A_ROW = (
    "In OHIF's Point Prompts select the row of the structure you segment (for example 'liver') and click in it; use "
    "the 'background' row only for clicks on what does not belong to it, then select the structure's row again."
)


@dataclass(frozen=True)
class ClickRequest:
    """What a client asks for.

    Args:
        prompts: as `prompts` lists them; or from the viewers, foreground as listed, then background. Not yet checked
            against a volume.
        label: the structure's name, or "" where the client does not say (OHIF).
        extension: of the mask file.
        dtype: of the mask's voxels.
        box_only: send the smallest box that holds the mask, placed where it lies, instead of the whole grid; for
            clients that place it themselves (`box` among the numbers says where), 16 MB a click less.
        bits: with output=json, send the mask as bits beside the numbers.
        last_mask: whether the start page offers the answer to be saved; a client that saves by itself says no.
        compress: gzip inside .nrrd, unless the client wants it raw, as OHIF does: a mask is a hundred times smaller.
        label_info: what a client says of the segments of a DICOM SEG.
        save_label: keep the mask in the datastore under `label_tag`.
        label_tag: folder under labels/.
        client_id: who asks, as the client says it.
    """

    prompts: tuple[Prompt, ...]
    label: str = ""
    extension: str = ".nii.gz"
    dtype: str = "uint8"
    compress: bool = False
    box_only: bool = False
    bits: bool = False
    last_mask: bool = True
    label_info: tuple[Mapping[str, Any], ...] = ()
    save_label: bool = False
    label_tag: str = "original"
    client_id: str = ""


def read_object(text: str | bytes, what: str) -> dict[str, Any]:
    """A JSON object.

    Args:
        what: names it where it is none.

    Raises:
        BadRequest: not a JSON object, or one with text that is none.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadRequest(f"{what} is not valid JSON: {error}") from None
    except RecursionError:
        raise BadRequest(f"{what} is nested too deeply") from None
    check_text(value, what)
    if not isinstance(value, dict):
        raise BadRequest(f"{what} must be a JSON object, got {type(value).__name__}")
    return value


def parse_params(text: str) -> dict[str, Any]:
    """The JSON of a form field `params`.

    Raises:
        BadRequest: not a JSON object.
    """
    return read_object(text or "{}", "params")


def click_request(params: Mapping[str, Any]) -> ClickRequest:
    """A request's parameters, checked.

    Raises:
        BadRequest: the message names the parameter, what was expected and what came.
    """
    prompts = _prompts(params) if "prompts" in params else _viewer_clicks(params)
    if len(prompts) > MAX_CLICKS:
        raise BadRequest(f"{len(prompts)} clicks are too many; at most {MAX_CLICKS} are answered")
    label_info = params.get("label_info") or []
    if not isinstance(label_info, list) or not all(isinstance(entry, dict) for entry in label_info):
        raise BadRequest(f"label_info must be a list of objects, got {label_info!r}"[:300])
    return ClickRequest(
        prompts=tuple(prompts),
        label=_text(params, "label"),
        extension=_choice(params, "result_extension", RESULT_EXTENSIONS, ".nii.gz"),
        dtype=_choice(params, "result_dtype", RESULT_DTYPES, "uint8"),
        compress=_flag(params, "result_compress", True),
        box_only=_flag(params, "result_box"),
        bits=_flag(params, "result_bits"),
        last_mask=_flag(params, "last_mask", True),
        label_info=tuple(label_info),
        save_label=_flag(params, "save_label"),
        label_tag=_text(params, "label_tag") or "original",
        client_id=_text(params, "client_id"),
    )


def prompts_said(prompts: Sequence[Prompt]) -> tuple[dict[str, Any], ...]:
    """What is kept with a mask of where it came from; of a mask to start from, its box alone."""
    said = (prompt_json(prompt) for prompt in prompts)
    return tuple({key: v for key, v in one.items() if one.get("type") != "mask" or key != "bits"} for one in said)


def _prompts(params: Mapping[str, Any]) -> list[Prompt]:
    if params.get("foreground") or params.get("background"):
        raise BadRequest("send either prompts or foreground and background, not both")
    if not isinstance(params["prompts"], list):
        raise BadRequest(f"prompts must be a list of objects, got {_short(params['prompts'])}")
    try:
        return read_prompts(params["prompts"])
    except ValueError as error:
        raise BadRequest(f"prompts: {error}") from None


def _viewer_clicks(params: Mapping[str, Any]) -> list[Click]:
    foreground, background = _points(params, "foreground"), _points(params, "background")
    if "foreground" not in params:
        raise BadRequest(f"foreground is missing: no structure is selected. {SELECT_A_ROW}")
    if foreground and foreground == background:
        raise BadRequest(f"foreground and background are the same list of clicks. {SELECT_A_ROW}")
    return [Click(ijk) for ijk in foreground] + [Click(ijk, positive=False) for ijk in background]


def _points(params: Mapping[str, Any], name: str) -> list[tuple[float, float, float]]:
    points = params.get(name)
    if points is None:
        return []
    if not isinstance(points, list):
        raise BadRequest(f"{name} must be a list of clicks [i, j, k], got {_short(points)}")
    for point in points:
        numbers = isinstance(point, list) and all(
            isinstance(index, int | float) and not isinstance(index, bool) for index in point
        )
        if not numbers or len(point) != 3:
            raise BadRequest(f"each {name} click must be three voxel indices [i, j, k], got {_short(point)}")
        if not all(_is_finite(index) for index in point):
            raise BadRequest(f"{name} click {_short(point)} is not finite")
    return [(float(i), float(j), float(k)) for i, j, k in points]


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a JSON number may have more digits than a float holds
        return False


def _flag(params: Mapping[str, Any], name: str, default: bool = False) -> bool:
    return params.get(name, default) in (True, "true", "True", 1)  # some clients send text


def _text(params: Mapping[str, Any], name: str) -> str:
    value = params.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 128:
        raise BadRequest(f"{name} must be a string of at most 128 characters, got {_short(value)}")
    return value


def _choice(params: Mapping[str, Any], name: str, allowed: Sequence[str], default: str) -> str:
    value = params.get(name)
    if value in (None, ""):
        return default
    if value not in allowed:
        raise BadRequest(f"{name} must be one of {', '.join(allowed)}, got {_short(value)}")
    return str(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
