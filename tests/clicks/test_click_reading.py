import json

import pytest

from seganypet.clicks import Click
from seganypet.clicks.reading import read_clicks


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
    assert read_clicks(value) == expected


def test_the_sign_is_the_argument_unless_the_click_says_it():
    clicks = read_clicks([[1, 2, 3], {"ijk": [4, 5, 6], "positive": True}], positive=False)
    assert [click.positive for click in clicks] == [False, True]


def test_a_file_of_clicks(tmp_path):
    path = tmp_path / "clicks.json"
    for content in ([[1, 2, 3]], {"clicks": [{"ijk": [1, 2, 3]}]}):
        path.write_text(json.dumps(content))
        assert read_clicks(str(path)) == [Click((1, 2, 3))]
    path.write_text("[1,")
    with pytest.raises(ValueError, match=r"clicks.json is not JSON"):
        read_clicks(path)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("nowhere.json", FileNotFoundError, "no file 'nowhere.json'"),
        ("1,2", ValueError, r"three voxel indices"),
        ([[1, 2, "x"]], ValueError, r"\[1, 2, 'x'\]"),
        ([{"xyz": [1, 2, 3]}], ValueError, "'ijk'"),
        (5, ValueError, "got 5"),
        ([[True, 2, 3]], ValueError, "three voxel indices"),
    ],
)
def test_what_is_no_click_is_shown(value, error, message):
    with pytest.raises(error, match=message):
        read_clicks(value)
