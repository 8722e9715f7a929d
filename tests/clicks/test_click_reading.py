import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seganypet.clicks import Box, Click, InitialMask, Lasso, Scribble, VoxelSet
from seganypet.clicks.reading import prompt_json, read_prompts, read_prompts_as_typed


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        ("120,80,45", [Click((120, 80, 45))]),
        ((120, 80.5, 45), [Click((120, 80.5, 45))]),  # what fire makes of the same text
        ("[[1,2,3],[4,5,6]]", [Click((1, 2, 3)), Click((4, 5, 6))]),
        ([[1, 2, 3]], [Click((1, 2, 3))]),
        ({"ijk": [1, 2, 3], "positive": False}, [Click((1, 2, 3), positive=False)]),
        ([{"ijk": [1, 2, 3]}, [4, 5, 6]], [Click((1, 2, 3)), Click((4, 5, 6))]),
        ([], []),
    ],
)
def test_ways_to_write_clicks(value, expected):
    assert read_prompts_as_typed(value) == expected
    if not isinstance(value, str):
        assert read_prompts(value) == expected


@pytest.mark.parametrize("nested", [lambda text: text, lambda text: {"prompts": text}, lambda text: [text]])
def test_text_from_elsewhere_opens_no_file(tmp_path, nested):
    path = tmp_path / "secret.json"
    path.write_text('[{"password": "hunter2"}]')
    for text in (str(path), "1,2,3", "[[1,2,3]]"):
        with pytest.raises(ValueError, match="voxel indices") as refused:
            read_prompts(nested(text))
        assert "hunter2" not in str(refused.value)


def test_the_sign_is_the_argument_unless_the_click_says_it():
    clicks = read_prompts([[1, 2, 3], {"ijk": [4, 5, 6], "positive": True}], positive=False)
    assert [click.positive for click in clicks] == [False, True]


def test_a_file_of_clicks(tmp_path):
    path = tmp_path / "clicks.json"
    for content in ([[1, 2, 3]], {"clicks": [{"ijk": [1, 2, 3]}]}):
        path.write_text(json.dumps(content))
        assert read_prompts_as_typed(str(path)) == [Click((1, 2, 3))]
    path.write_text("[1,")
    with pytest.raises(ValueError, match=r"clicks.json is not JSON"):
        read_prompts_as_typed(path)
    path.write_bytes('{"reader": "Müller", "clicks": [[1, 2, 3]]}'.encode("latin-1"))
    with pytest.raises(ValueError, match=r"clicks.json is not JSON: 'utf-8' codec"):
        read_prompts_as_typed(path)


def test_a_file_of_clicks_is_utf_8_whatever_the_locale(tmp_path):
    path = tmp_path / "clicks.json"
    path.write_text('{"reader": "Müller", "clicks": [[1, 2, 3]]}', encoding="utf-8")
    code = f"from seganypet.clicks.reading import read_prompts_as_typed as read; print(len(read({str(path)!r})))"
    locale = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    bundle = Path(__file__).resolve().parents[2] / "bundle"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=bundle, env={**os.environ, **locale}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "1", done.stderr


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("nowhere.json", FileNotFoundError, "no file 'nowhere.json'"),
        ("[[1, 2, 3], " * 30, FileNotFoundError, "there is no file"),
        ([{"type": []}], ValueError, "must be one of click, box"),
        ("1,2", ValueError, r"three voxel indices"),
        ([[1, 2, "x"]], ValueError, r"\[1, 2, 'x'\]"),
        ([{"xyz": [1, 2, 3]}], ValueError, "'ijk'"),
        (5, ValueError, "got 5"),
        ([[True, 2, 3]], ValueError, "three voxel indices"),
        ([[1, 2, 10**400]], ValueError, "finite"),
        ([{"type": "knot"}], ValueError, "must be one of click, box, scribble, lasso, mask, got 'knot'"),
        ([{"type": "click", "ijk": [1, 2, 3], "sign": -1}], ValueError, "a click has no key sign"),
        ([{"type": "click", "ijk": [1, 2, 3], "positive": 1}], ValueError, "'positive' must be true or false, got 1"),
        ([{"type": "box"}], ValueError, "three half-open ranges"),
        ([{"type": "box", "ranges": [[1, 1], [0, 2], [0, 2]]}], ValueError, "none of them empty"),
        ([{"type": "scribble"}], ValueError, "either 'voxels'"),
        ([{"type": "scribble", "voxels": []}], ValueError, "whole numbers from 0 up; got"),
        ([{"type": "scribble", "voxels": [[-1, 0, 0]]}], ValueError, "whole numbers from 0 up"),
        ([{"type": "lasso", "voxels": [[0, 0, 0], [9999, 9999, 9999]]}], ValueError, "larger than any volume"),
        ([{"type": "mask", "start": [0, 0, 0], "shape": [2, 2, 3], "bits": "!"}], ValueError, "not base64"),
        ([{"type": "mask", "start": [0, 0, 0], "shape": [2, 2, 3], "bits": "AA=="}], ValueError, "has 2 bytes of bits"),
        ([{"type": "lasso", "start": [0, 0], "shape": [2, 2, 3], "bits": ""}], ValueError, "three whole numbers"),
        ([{"type": "lasso", "start": [0, 0, 0], "shape": [2, 2, 2], "bits": "AA=="}], ValueError, "nothing is drawn"),
    ],
)
def test_what_is_no_click_is_shown(value, error, message):
    with pytest.raises(error, match=message):
        read_prompts_as_typed(value)


def drawing():
    array = np.zeros((3, 2, 3), bool)
    array[0, 1, 2] = array[2, 0, 0] = array[1, 1, 1] = True
    return VoxelSet.of(array, (4, 5, 6))


@pytest.mark.parametrize(
    "prompt",
    [
        Click((1, 2, 3.5), positive=False),
        Box(((1, 2), (3, 9), (0, 4)), positive=False, limit=True),
        Scribble(drawing()),
        Lasso(drawing(), positive=False),
        InitialMask(drawing()),
        InitialMask(None),
    ],
)
def test_what_is_written_is_read_as_it_was(prompt):
    assert read_prompts(json.loads(json.dumps([prompt_json(prompt)]))) == [prompt]


def test_voxels_and_bits_say_the_same():
    voxels = [[4, 6, 8], [6, 5, 6], [5, 6, 7]]
    # 3 · 2 · 3 voxels in C order, written by hand: (0,1,2) is bit 5, (1,1,1) bit 10, (2,0,0) bit 12
    bits = base64.b64encode(bytes([0b00000100, 0b00101000, 0])).decode()
    said = [
        {"type": "scribble", "voxels": voxels},
        {"type": "scribble", "start": [4, 5, 6], "shape": [3, 2, 3], "bits": bits},
    ]
    assert read_prompts({"prompts": said}) == [Scribble(drawing())] * 2
