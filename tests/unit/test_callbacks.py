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
    from collections.abc import Iterator

PACKAGE = Path(sketchmigrate.__file__).parent
COMMAND_LINE = sorted((PACKAGE / "cli").rglob("*.py"))
IS_CALLABLE = re.compile(r"\bCallable\[")
LISTENS = re.compile(r"Callable\[(\[[^]]*\]|\.\.\.), None\]( \| None)?$")
"""A callable that returns nothing can be told something, and can be asked for nothing."""


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


def handed_down(source: str) -> Iterator[tuple[int, str, str]]:
    """Each callable that a module gives to a function or class below: the line, the parameter, and its annotation."""
    tree = ast.parse(source)
    below = imported(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in below:
            continue
        signature = inspect.signature(below[node.func.id])
        names = [each for each in signature.parameters if each != "self"]
        given = dict(zip(names, node.args, strict=False)) | {each.arg: each.value for each in node.keywords if each.arg}
        for name in given:
            annotation = annotation_of(below[node.func.id], name)
            if IS_CALLABLE.search(annotation):
                yield node.lineno, f"{node.func.id}({name})", annotation


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
    """The test itself can fail: a question handed down, by position and by name."""
    breach = (
        "from sketchmigrate.inspect.looks import Looks\n"
        "def look(sides, ask):\n"
        "    Looks(sides, ask)\n"
        "    return Looks(sides, check_access=ask)\n"
    )
    found = list(handed_down(breach))
    names = [(line, parameter) for line, parameter, _ in found]
    assert names == [(3, "Looks(check_access)"), (4, "Looks(check_access)")]
    assert not any(LISTENS.search(annotation) for *_, annotation in found)
