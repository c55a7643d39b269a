"""A JSON document: the strings at some paths are references. Pure.

The text of the server is walked once, and only the strings at the paths change: parsing and writing the document would
change numbers, spaces, the order and the spelling of all the rest. Nothing here calls itself, however deep it goes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from sketchmigrate.core.mapping import Unmappable
from sketchmigrate.core.reason import ReasonKind, because
from sketchmigrate.core.shapes.contract import Patterns, Reading, Shape, Slot, slot, spelling, within
from sketchmigrate.core.shapes.json_paths import BRACKET, ELEMENT, Node, parse_path, tree_of

if TYPE_CHECKING:
    from sketchmigrate.core.notation import Notation
    from sketchmigrate.core.reason import Reason
    from sketchmigrate.core.rule import SideName

_element, _bracket = ELEMENT.match, BRACKET.match
_characters = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|.", re.DOTALL).finditer
_must_be_escaped = re.compile(r'["\\\x00-\x1f]').search


@dataclass(frozen=True, slots=True)
class Json(Shape):
    """The text of a ``json`` or ``jsonb``. Where an object has a name twice, the last counts. See ``Shape``.

    Raises ``ValueError`` for a path that cannot be read.
    """

    notation: Notation
    paths: tuple[str, ...]
    _root: Node = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_root", tree_of(map(parse_path, self.paths)))

    def patterns(self, side: SideName) -> Patterns:
        r"""See ``Shape``. Any character may be escaped, as ``\u0069``, and then there is a backslash."""
        return within(self.notation.signs(side), spelling(r'["\\\x00-\x1f]'), r"\\")

    def read(self, value: str, side: SideName | None = None) -> Reading:
        """See ``Shape``. A slot is what stands between the quotes."""
        slots: list[Slot] = []
        failure: Reason | None = None
        try:
            for start, stop in _strings(value, self._root):
                raw = value[start:stop]
                text = json.loads(f'"{raw}"') if "\\" in raw else raw
                try:
                    found = self.notation.read(text, side)
                except Unmappable as fault:
                    failure = failure or fault.reason
                    continue
                if found is not None:
                    slots.append(slot(start, stop, found, _written(raw, found.cut, found.front)))
        except ValueError:
            return Reading((), because(ReasonKind.NOT_JSON))
        return Reading(tuple(slots), failure)


def _written(raw: str, cut: int, front: str) -> str:
    """Return a string with the first ``cut`` characters replaced, and the rest spelled as it was."""
    if _must_be_escaped(front):
        front = json.dumps(front, ensure_ascii=False)[1:-1]
    if "\\" in raw:
        cut = sum(len(each[0]) for each in islice(_characters(raw), cut))
        if r"\/" in raw[:cut]:
            front = front.replace("/", r"\/")
    return front + raw[cut:]


class _Level:
    """An object or array that is being walked through."""

    __slots__ = ("begins", "is_object", "node", "number", "seen")

    def __init__(self, node: Node, bracket: str) -> None:
        self.node, self.is_object, self.number = node, bracket == "{", -1
        self.seen: dict[str, int] = {}
        """Which of the members that count was the last of this name."""
        self.begins: list[int] = []
        """How many strings had been found when each of them began."""

    def child(self, name: str, found: list[tuple[int, int] | None]) -> Node | None:
        """Go on to the next member or element, and return the node that it is at, if any."""
        node = self.node
        if not self.is_object:
            self.number += 1
            return node.numbers.get(self.number, node.any)
        if "\\" in name:
            name = json.loads(f'"{name}"')
        child = node.names.get(name, node.any)
        if child is not None:
            if name in self.seen:
                self._forget(self.seen[name], found)
            self.seen[name] = len(self.begins)
            self.begins.append(len(found))
        return child

    def _forget(self, member: int, found: list[tuple[int, int] | None]) -> None:
        """Take out what a member gave that does not count, as there is another one of its name."""
        begin, end = (*self.begins[member : member + 2], len(found))[:2]
        found[begin:end] = [None] * (end - begin)


def _strings(value: str, root: Node) -> list[tuple[int, int]]:
    """Return where the strings at the paths are, without their quotes. Raises ``ValueError``."""
    match = _matched(_element(value))
    _, _, text, bracket = match.groups()
    if bracket is None:
        return [match.span(3)] if root.is_reference and text is not None else []
    found: list[tuple[int, int] | None] = []
    around: list[_Level] = []
    level = _Level(root, bracket)
    position = match.end()
    while True:
        match = _matched(level.node.member.match(value, position) if level.is_object else _element(value, position))
        position = match.end()
        end, name, text, bracket = match.groups()
        if end is not None:
            if not around:
                return [each for each in found if each is not None]
            level = around.pop()
            continue
        child = level.child(name, found)
        if bracket is not None:
            if child is None or child.is_end:
                position = _skipped(value, position)
            else:
                around.append(level)
                level = _Level(child, bracket)
        elif text is not None and child is not None and child.is_reference:
            found.append(match.span(3))


def _skipped(value: str, position: int) -> int:
    """Return where the object or array ends that has begun before."""
    depth = 1
    while depth:
        match = _matched(_bracket(value, position))
        depth += 1 if match[1] in "[{" else -1
        position = match.end()
    return position


def _matched(match: re.Match[str] | None) -> re.Match[str]:
    if match is None:
        raise ValueError("not JSON")
    return match
