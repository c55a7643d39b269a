"""Paths into JSON documents from the places where references were seen. Pure.

What differs from document to document becomes ``*``: the elements of an array, and the members of an object that lead
to the same below them, such as the derivatives of a picture.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from sketchmigrate.core.shapes.json_paths import MAX_STEPS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sketchmigrate.core.shapes.json_paths import Step

    Path = tuple[Step, ...]

EACH = -1
"""The step into any element of an array; it is kept apart from that into any member only to be written otherwise."""

MOST_PATHS = 200
"""More of them are not told apart: the names in them are data."""

_ALIKE_BELOW = 2
"""So many members with the same below them are of one sort; ``{"small": {"id": …}, "large": {"id": …}}``."""

_ALIKE = 3
"""So many members that are references themselves are of one sort."""

_plain = re.compile(r'[^\s."*\[\]]+').fullmatch
_is_data = re.compile(r"\d+|[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|[0-9A-Fa-f]{16,}").fullmatch


def strings_in(document: str) -> Iterator[tuple[Path, str]]:
    """Yield each string of a document that a path can lead to, and its path. Raises ``ValueError``, ``RecursionError``.

    Of a name that is there twice, the last counts.
    """
    # no number is needed, and one of thousands of digits would not be read
    found = json.loads(document, parse_int=_none, parse_float=_none, parse_constant=_none)
    around: list[tuple[Path, object]] = [((), found)]
    while around:
        path, value = around.pop()
        if isinstance(value, str):
            yield path, value
        elif len(path) < MAX_STEPS and isinstance(value, dict):
            around += [((*path, name), below) for name, below in value.items()]
        elif len(path) < MAX_STEPS and isinstance(value, list):
            around += [((*path, EACH), below) for below in value]


def _none(_: str) -> None:
    return None


def generalised(paths: Collection[Path], avoid: Collection[Path] = ()) -> frozenset[Path]:
    """Return fewer paths that lead to all these places, and to none of those to ``avoid`` unless one of them is."""
    for alike, alike_below in ((_ALIKE, _ALIKE_BELOW), (0, _ALIKE_BELOW), (0, 0)):
        found = _merged(frozenset(paths), alike, alike_below)
        if len(found) > MOST_PATHS:
            found = frozenset((None,) * len(path) for path in found)
        if not any(_leads_to(path, other) for path in found for other in avoid):
            return found
    return found


def _merged(paths: frozenset[Path], alike: int, alike_below: int) -> frozenset[Path]:
    """Merge members of one sort; a number of 0 stands for none."""
    below: dict[Step, set[Path]] = {}
    for path in paths:
        if path:
            below.setdefault(path[0], set()).add(path[1:])
    merged = {step: _merged(frozenset(rest), alike, alike_below) for step, rest in below.items()}
    names_by_rest: dict[Path, list[Step]] = {}
    for step, rests in merged.items():
        for rest in rests:
            names_by_rest.setdefault(rest, []).append(step)
    found: set[Path] = {()} if () in paths else set()
    for rest, steps in names_by_rest.items():
        least = alike_below if rest else alike
        is_data = bool(least) and any(isinstance(step, str) and _is_data(step) for step in steps)
        if None in steps or is_data or (least and len(steps) >= least):
            found.add((None, *rest))
        else:
            found |= {(step, *rest) for step in steps}
    return frozenset(found)


def _leads_to(path: Path, place: Path) -> bool:
    steps = zip(path, place, strict=False)
    return len(path) == len(place) and all(step is None or step == other for step, other in steps)


def written(path: Path) -> str:
    """Write a path as ``core.shapes.json_paths`` reads it."""
    return "$" + "".join(map(_written, path))


def _written(step: Step) -> str:
    if step is None:
        return ".*"
    if isinstance(step, int):
        return "[*]"
    if _plain(step) and step.isprintable():
        return f".{step}"
    return f"[{json.dumps(step)}]"
