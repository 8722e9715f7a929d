"""Options of `python -m monai.bundle run` that no config has, or that are no True or False where one is: refused.

MONAI takes a mistyped option for a new item, which nothing reads, and "false" for a text, which counts as true: the run
would go on for hours as nobody meant it. What our own code refuses later, a value or a file, ends in a line, too, where
MONAI has a traceback of a hundred that ends with the component's name.
"""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from monai import bundle
from monai.bundle import ConfigParser

PROGRAM = ("monai", "bundle", "__main__.py")
OURS = "Failed to instantiate component 'seganypet."
SEPARATOR = re.compile(r"#|::")


def refuse_unknown_overrides() -> None:
    """Ends the process with a line that names the option; does nothing where no command line runs a bundle."""
    program, *words = sys.argv
    if Path(program).parts[-3:] == PROGRAM and words[:1] == ["run"]:
        mistake = unknown_override(words[1:])
        if mistake:
            sys.exit(mistake)
        sys.excepthook = end_in_a_line


def end_in_a_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tells of a value or file that a component of ours refused; of all else, the traceback."""
    cause: BaseException | None = error
    while cause is not None and not str(cause).startswith(OURS):
        cause = cause.__cause__
    if cause is not None and isinstance(cause.__cause__, ValueError | OSError):
        print(f"monai.bundle: {cause.__cause__}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def unknown_override(words: Iterable[str]) -> str:
    """What is wrong with the first option that the configs do not take so; "" where nothing is.

    Args:
        words: of the command line after "run"; where they name no --config_file, a file of arguments does, and nothing
            is looked at.
    """
    from fire.parser import DefaultParseValue  # the command line needs it, MONAI Label does not

    given = dict(_options(words))
    files = DefaultParseValue(given.get("config_file", ""))
    if not files:
        return ""
    config = ConfigParser.load_config_files(files)
    known = {SEPARATOR.split(name)[0] for name in config} | set(inspect.signature(bundle.run).parameters)
    for option, text in given.items():
        name, value = SEPARATOR.split(option)[0], DefaultParseValue(text)
        if name not in known:
            like = difflib.get_close_matches(name, known, n=1)
            return f"no config has an item {name}" + (f"; did you mean --{like[0]}?" if like else f": --{option}")
        if isinstance(config.get(option), bool) and isinstance(value, str) and value[:1] not in ("$", "@", "%"):
            return f"--{option} takes True or False, got {value!r}"
    return ""


def _options(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names and texts of "--name text", "--name=text" and "--name" alone."""
    name = None
    for word in words:
        if word.startswith("--"):
            if name is not None:
                yield name, "True"
            name, given, text = word[2:].partition("=")
            if given:
                yield name, text
                name = None
        elif name is not None:
            yield name, word
            name = None
    if name is not None:
        yield name, "True"
