"""Paths into a JSON document, made ready for one walk through its text. Pure.

Of the language of SQL/JSON (PostgreSQL manual, section 9.16.2) this is the part that names values: ``$``, ``.name``,
``."a b"``, ``["a b"]``, ``[3]``, and ``.*`` or ``[*]`` for every member or element.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Step: TypeAlias = str | int | None
"""A member's name, an element's number, or any of them."""

MAX_STEPS = 100

# A group that is repeated possessively (*+) must not fail once it has begun: Python before 3.11.5 goes astray. One that
# may is repeated so many times at most, as each time takes 100 bytes until the match is over.
_TIMES = "{0,200}"
_SPACE = r"[ \t\n\r]*+"
_STRING = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
_SCALAR = r'[^ \t\n\r,:"\[\]{}]++'
_VALUE = rf'(?:"({_STRING})"|{_SCALAR}|([\[{{]))'
_NESTED = rf'[\[{{](?:[^"\[\]{{}}]++|"{_STRING}"){_TIMES}[\]}}]'
for _ in range(2):
    _NESTED = rf'[\[{{](?:[^"\[\]{{}}]++|"{_STRING}"|{_NESTED}){_TIMES}[\]}}]'

ELEMENT = re.compile(rf"[ \t\n\r,]*+(?:([\]}}])|(){_VALUE})", re.DOTALL)
"""The end of an array, or its next element: groups end, an empty one, string, bracket that opens."""

BRACKET = re.compile(rf'[^"\[\]{{}}]*+(?:"{_STRING}"[^"\[\]{{}}]*+)*+([\[\]{{}}])', re.DOTALL)
"""The next bracket that is in no string."""

_QUOTED = r'("(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*")'
_step = re.compile(rf'\.([^\s."*\[\]]+)|\.{_QUOTED}|\[{_QUOTED}\]|\[(\d{{1,9}})\]|(?:\.\*|\[\*\])').match


def parse_path(path: str) -> tuple[Step, ...]:
    """Return the steps of a path. Raises ``ValueError``."""
    if not path.startswith("$"):
        raise ValueError(f"{path!r} must begin with $, as in $.file.id")
    steps: list[Step] = []
    position = 1
    while position < len(path):
        found = _step(path, position)
        if found is None:
            raise ValueError(f'{path!r} cannot be read from {path[position:]!r} on: .name, ["a name"], [0], .* or [*]')
        name, after_dot, in_brackets, number = found.groups()
        quoted = after_dot or in_brackets
        steps.append(json.loads(quoted) if quoted else int(number) if number else name)
        position = found.end()
    if len(steps) > MAX_STEPS:
        raise ValueError(f"the path has {len(steps)} steps; there may be {MAX_STEPS}")
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class Node:
    """A place in a document, with regard to all paths at once: whether it is a reference, and what below it counts."""

    is_reference: bool
    names: dict[str, Node]
    numbers: dict[int, Node]
    any: Node | None
    member: re.Pattern[str]
    """The end of an object, or its next member that may count: groups end, name, string, bracket that opens."""

    is_end: bool
    """Whether no path goes on below."""


def tree_of(paths: Iterable[tuple[Step, ...]]) -> Node:
    """Return the node of a document's root."""
    ways = frozenset(paths)
    deeper = [way for way in ways if way]
    by_any = [way[1:] for way in deeper if way[0] is None]
    below = {
        step: tree_of([*by_any, *(way[1:] for way in deeper if way[0] == step)])
        for step in {way[0] for way in deeper}
        if step is not None
    }
    names = {step: node for step, node in below.items() if isinstance(step, str)}
    return Node(
        () in ways,
        names,
        {step: node for step, node in below.items() if isinstance(step, int)},
        tree_of(by_any) if by_any else None,
        _member([] if by_any else names),
        not deeper,
    )


def _member(names: Collection[str]) -> re.Pattern[str]:
    """Return the pattern of an object's next member of these names, or of any.

    Members of other names are passed over in one go, unless they are nested deeply or their names have a backslash:
    such a name may be another spelling of one that counts.
    """
    passed = ""
    if names:
        others = rf'"(?!(?:{"|".join(map(re.escape, names))})")[^"\\]*+"'
        value = rf'(?:"{_STRING}"|{_SCALAR}|{_NESTED})'
        passed = rf"(?:{others}{_SPACE}:{_SPACE}{value}[ \t\n\r,]*+){_TIMES}"
    member = rf'"({_STRING})"{_SPACE}:{_SPACE}{_VALUE}'
    return re.compile(rf"[ \t\n\r,]*+{passed}(?:(\}})|{member})", re.DOTALL)
