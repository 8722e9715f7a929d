"""How every script here is called: flags are checked before anything is done, and mistakes are answered in a line.

Fire itself runs a command with its defaults and complains of a flag that it does not know afterwards.
"""

import difflib
import functools
import inspect
import io
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import NoneType, TracebackType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

Target = Callable[..., Any] | Mapping[str, Callable[..., Any]]


def run(target: Target) -> None:
    """Call a function, a class's method or one of several functions by the command line; ends the process on mistakes.

    Exits with 2 for a flag or argument that there is none of, 1 for a ValueError or OSError, 130 when interrupted.
    """
    import fire  # here, so that where it is missing that is said in a line, too

    name, words = Path(sys.argv[0]).stem, sys.argv[1:]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a ± or a name in a terminal that has none
    mistake = unknown_word(target, words)
    if mistake is not None:
        print(f"{name}: {mistake}", file=sys.stderr)
        sys.exit(2)
    if inspect.isclass(target) and words in (["--help"], ["-h"]):  # of a class Fire tells the flags alone
        print(f"{name} COMMAND <flags>; COMMAND --help tells its own flags. COMMAND is one of\n{_commands(target)}")
    try:
        fire.Fire(_with_checked_types(target), name=name)
    except (ValueError, OSError) as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"\n{name}: stopped", file=sys.stderr)
        sys.exit(130)


def unknown_word(target: Target, words: list[str]) -> str | None:
    """What is wrong with the first flag or argument that the command does not have; None where all are known."""
    positional, options, after_flag = [], _options(target, words), False
    for word in words:
        if word in ("--", "--help", "-h"):
            return None
        if not word.startswith("--"):
            if word[:1] == "-" and word[1:2].isalpha():  # Fire takes one dash, too, and a flag's first letter
                after_flag = "=" not in word
                continue
            if not after_flag:
                positional.append(word)
            after_flag = False
            continue
        flag, given, _ = word[2:].partition("=")
        flag, after_flag = flag.replace("-", "_"), not given
        if flag in options or (flag.startswith("no") and flag[2:] in options):
            continue
        like = difflib.get_close_matches(flag, options, n=1)
        return f"there is no --{flag}" + (f"; did you mean --{like[0]}?" if like else f"; there are {_listed(options)}")
    several = isinstance(target, Mapping) or inspect.isclass(target)
    most = len(options) + several
    return f"{positional[most]!r} is one argument too many" if len(positional) > most else None


def _options(target: Target, words: Iterable[str]) -> list[str]:
    """Names of the parameters that the words may give."""
    if isinstance(target, Mapping):
        chosen = [target[word] for word in words if word in target] or list(target.values())
    elif inspect.isclass(target):
        methods = dict(inspect.getmembers(target, inspect.isfunction))
        chosen = [method for name, method in methods.items() if name in words and not name.startswith("_")]
        chosen = [*(chosen or methods.values()), methods["__init__"]]
    else:
        chosen = [target]
    names = (name for one in chosen for name in inspect.signature(one).parameters if name != "self")
    return list(dict.fromkeys(names))


def _commands(target: type) -> str:
    """A line for each public method."""
    methods = inspect.getmembers(target, inspect.isfunction)
    found = {name: (method.__doc__ or "").partition("\n")[0] for name, method in methods if not name.startswith("_")}
    return "\n".join(f"  {name:<{max(map(len, found))}}  {what}" for name, what in found.items())


def _listed(options: Iterable[str]) -> str:
    return ", ".join(f"--{option}" for option in options)


def _with_checked_types(target: Target) -> Target:
    if isinstance(target, Mapping):
        return {name: _checked(one) for name, one in target.items()}
    return _checked_class(target) if inspect.isclass(target) else _checked(target)


def _checked_class(target: type) -> type:
    """The class with `_checked` methods; what its commands are given is held against their types, too."""
    methods = inspect.getmembers(target, inspect.isfunction)
    checked = {name: _checked(one) for name, one in methods if name == "__init__" or not name.startswith("_")}
    found = type(target.__name__, (target,), {"__doc__": target.__doc__, **checked})
    return _keep_text(found, target.__init__)  # Fire asks the class how to read what makes one


def _kinds(hint: Any) -> set[Any]:
    return set(get_args(hint)) if get_origin(hint) in (Union, UnionType) else {hint}


def _keep_text(component: Any, function: Callable[..., Any]) -> Any:
    """The component, told to Fire as one whose parameters that are text, by the function's hints, stay as they are."""
    from fire import decorators

    decorators.FIRE_METADATA = "_fire_metadata"  # by the name it has, Fire's help lists it among the commands
    for name, hint in get_type_hints(function).items():
        if name != "return" and _kinds(hint) <= {str, NoneType}:
            decorators.SetParseFn(str, name)(component)
    return component


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, refusing what is no number or no true or false where it wants one, and keeping text as it is typed.

    Fire takes 2026_11_27 for the number 20261127, and 1e3 for 1000.0.
    """
    signature, hints = inspect.signature(function), get_type_hints(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        for name, value in given.arguments.items():
            kinds = _kinds(hints.get(name))
            for wanted, words in (({int}, "a whole number"), ({int, float}, "a number"), ({bool}, "True or False")):
                accepted = wanted | {NoneType}
                if kinds <= accepted and not (type(value) in wanted or (value is None and NoneType in kinds)):
                    raise ValueError(f"--{name} takes {words}, got {value!r}")
            if str in kinds and type(value) in (int, float):  # the only one of several names
                given.arguments[name] = str(value)
        return function(*given.args, **given.kwargs)

    return _keep_text(call, function)


def _end_in_a_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What ends a script before `run` could answer it: Ctrl-C while it imports, a package that is not installed."""
    name = Path(sys.argv[0]).stem
    ours = {path.stem for path in Path(__file__).parent.iterdir()} | {"seganypet"}
    if issubclass(kind, KeyboardInterrupt):
        print(f"\n{name}: stopped", file=sys.stderr)
    elif isinstance(error, ModuleNotFoundError) and (package := (error.name or "").partition(".")[0]) not in ours:
        print(
            f"{name}: {sys.executable} has no {package}. `make .venv/installed` installs what is needed in .venv, "
            "`make .venv/installed-dev` also what only tests, stress.py and benchmark.py need; run .venv/bin/python",
            file=sys.stderr,
        )
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _end_in_a_line
