"""Calls run one way as imports do: what the command line hands down may listen, and does no work for those below."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sketchmigrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = Path(sketchmigrate.__file__).parent
COMMAND_LINE = sorted((PACKAGE / "cli").rglob("*.py"))
IS_CALLABLE = re.compile(r"\bCallable\[")
LISTENS = re.compile(r"Callable\[(\[[^]]*\]|\.\.\.), None\]\]?( \| None)?$")
"""A callable that returns nothing can be told something, and can be asked for nothing; and so can a list of these."""


def imported(tree: ast.AST) -> dict[str, Any]:
    """The functions and classes of the rooms below that a module imports, late imports included, by their names."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sketchmigrate."):
            room = (node.module or "").split(".")[1]
            for alias in node.names if room != "cli" else ():
                try:
                    thing = getattr(importlib.import_module(node.module or ""), alias.name, None)
                except ModuleNotFoundError:
                    continue  # an extra that is not installed
                if callable(thing):
                    found[alias.asname or alias.name] = thing
    return found


def methods_below() -> dict[str, list[Any]]:
    """The methods of all classes below the command line that take a callable, by their names."""
    found: dict[str, list[Any]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in {"cli", "demo", "__main__"} or path.stem == "__init__":
            continue
        try:
            module = importlib.import_module(".".join(("sketchmigrate", *parts)))
        except ModuleNotFoundError:
            continue  # an extra that is not installed
        for _, kind in inspect.getmembers(module, inspect.isclass):
            for name, method in inspect.getmembers(kind, inspect.isfunction):
                if kind.__module__ == module.__name__ and any(IS_CALLABLE.search(each) for each in hints_of(method)):
                    found.setdefault(name, []).append(method)
    return found


def hints_of(method: Any) -> list[str]:
    """What the parameters of a function are annotated with."""
    return [str(each.annotation) for each in inspect.signature(method).parameters.values()]


METHODS = methods_below()


def handed_down(source: str) -> Iterator[tuple[int, str, str]]:
    """Each callable that a module gives to what is below: the line, the parameter, and its annotation.

    Of functions and classes that it imports, whatever the argument is; of methods, which are known by their names
    alone, where the argument is a lambda, or a function or method that the module defines.
    """
    tree = ast.parse(source)
    below = imported(tree)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in below:
            yield from given(node, node.func.id, below[node.func.id], lambda _: True)
        elif isinstance(node.func, ast.Attribute):
            for method in METHODS.get(node.func.attr, ()):
                yield from given(node, node.func.attr, method, lambda value: is_own(value, own))


def given(call: ast.Call, name: str, thing: Any, counts: Callable[[ast.expr], bool]) -> Iterator[tuple[int, str, str]]:
    """The callables among the arguments of a call that count."""
    names = [each for each in inspect.signature(thing).parameters if each != "self"]
    arguments = dict(zip(names, call.args, strict=False)) | {each.arg: each.value for each in call.keywords if each.arg}
    for parameter, value in arguments.items():
        annotation = annotation_of(thing, parameter)
        if IS_CALLABLE.search(annotation) and counts(value):
            yield call.lineno, f"{name}({parameter})", annotation


def is_own(value: ast.expr, own: set[str]) -> bool:
    """Whether an argument is a callable that the module itself makes."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "partial":
        return is_own(value.args[0], own)
    named = value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ""
    return isinstance(value, ast.Lambda) or named in own


def annotation_of(thing: Any, parameter: str) -> str:
    """What a parameter is annotated with; an alias of a callable is followed."""
    signature = inspect.signature(thing)
    found = str(signature.parameters[parameter].annotation) if parameter in signature.parameters else ""
    if found.isidentifier():
        for name in (thing.__module__, "sketchmigrate.migration.settling", "sketchmigrate.inspect.listing.complete"):
            alias = getattr(importlib.import_module(name), found, None)
            if isinstance(alias, str):
                return alias
    return found


@pytest.mark.parametrize("path", COMMAND_LINE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_callable_of_the_command_line_does_work_for_a_room_below(path: Path) -> None:
    for line, parameter, annotation in handed_down(path.read_text()):
        assert LISTENS.search(annotation), f"{path}:{line}: {parameter} is asked for something: {annotation}"


def test_who_listens_to_the_work_returns_nothing() -> None:
    observer = importlib.import_module("sketchmigrate.cli.observer")
    for listener in (observer.Observer, observer.Parts):
        for name, method in inspect.getmembers(listener, inspect.isfunction):
            assert name.startswith("__") or method.__annotations__["return"] == "None", f"{listener.__name__}.{name}"


def test_a_breach_is_seen() -> None:
    """The test itself can fail: a question handed down, by position, by name, and to a method."""
    breach = (
        "from sketchmigrate.inspect.looks import Looks\n"
        "def look(sides, ask, session, site):\n"
        "    Looks(sides, ask)\n"
        "    Looks(sides, check_access=ask)\n"
        "    session.run(lambda connection: ask, doing='asking')\n"
        "    site.silence.told_to(lambda note: None)\n"
    )
    found = list(handed_down(breach))
    asked = {(line, parameter) for line, parameter, annotation in found if not LISTENS.search(annotation)}
    assert asked == {(3, "Looks(check_access)"), (4, "Looks(check_access)"), (5, "run(work)")}
    assert (6, "told_to(tell)") in {(line, parameter) for line, parameter, _ in found}
