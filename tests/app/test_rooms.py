"""The app's rooms know each other one way only: http → learning → clicks → store; app.py stands on all of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_server import APP

LIB = APP / "lib"
ROOMS = ("http", "learning", "clicks", "store")  # each may import itself and those after it
TOP = {"app.py", "app_settings.py", "__init__.py"}


def imports(source: str) -> Iterator[str]:
    """Dotted names below `lib` that a module imports when it runs; what only a type checker reads is no arrow."""
    tree = ast.parse(source)
    for typing_only in [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]:
        typing_only.body = [ast.Pass()]
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "the app imports by full names"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.removeprefix("lib.") for name in names if name.startswith("lib."))


def wrong_arrows(room: str, source: str) -> list[str]:
    allowed = ROOMS[ROOMS.index(room) :]
    return [name for name in imports(source) if name.split(".")[0] not in allowed]


def test_every_module_stands_in_a_room() -> None:
    assert {path.name for path in LIB.glob("*.py")} == TOP
    assert {path.name for path in LIB.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(ROOMS)


@pytest.mark.parametrize("path", sorted(LIB.glob("*/*.py")), ids=lambda path: path.relative_to(LIB).as_posix())
def test_a_room_imports_only_those_below_it(path: Path) -> None:
    assert not wrong_arrows(path.parent.name, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("room", "source", "wrong"),
    [
        ("store", "from lib.clicks.weights import Weights", ["clicks.weights.Weights"]),
        ("clicks", "import lib.learning.scores", ["learning.scores"]),
        ("clicks", "def late():\n    from lib.http import server", ["http.server"]),
        ("http", "from lib.app import SegAnyPETApp", ["app.SegAnyPETApp"]),
        ("http", "if TYPE_CHECKING:\n    from lib.app import SegAnyPETApp", []),
        ("learning", "from lib.store.names import is_tag", []),
    ],
)
def test_what_counts_as_an_arrow(room: str, source: str, wrong: list[str]) -> None:
    assert wrong_arrows(room, source) == wrong
