"""What a shape gives: the references in a value, and how to put others in their place. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sketchmigrate.core.notation import Signs, Written
    from sketchmigrate.core.reason import Reason
    from sketchmigrate.core.routes import Route
    from sketchmigrate.core.rule import SideName


class Slot(NamedTuple):
    """One reference in a value: its characters from ``start`` to before ``stop``, and what they say.

    ``text`` is what stands there when the reference is in production, written as it has to be at that place; for a
    reference that is there already, it is what stands there. Named tuple: see ``core.reference``.
    """

    start: int
    stop: int
    side: SideName
    bucket: str
    key: str
    other_bucket: str
    other_key: str
    text: str


class Reading(NamedTuple):
    """The references of a value in their order, and why one of those that should be moved cannot be, if so."""

    slots: tuple[Slot, ...]
    failure: Reason | None = None


class Patterns(NamedTuple):
    """Patterns of LIKE, under the collation "C": a value that holds a reference matches one of each group.

    ``is_exact``: and no other does. Else of those that match some hold none. ``ignores_case`` is ILIKE.
    """

    groups: tuple[tuple[str, ...], ...]
    is_exact: bool = False
    ignores_case: bool = False


class Shape(Protocol):
    """A way of holding references in a value, which is the text that PostgreSQL writes for the column."""

    @property
    def only_route(self) -> Route | None:
        """Return the route of all legacy references where a value is one key, and there is one route; else None."""
        return None

    def patterns(self, side: SideName) -> Patterns:
        """Return by what SQL tells values that may hold a reference of a side."""
        ...

    def read(self, value: str, side: SideName | None = None) -> Reading:
        """Return the references of a value; with a ``side``, as something else has told that they are on it."""
        ...


NOTHING = Reading(())


def within(signs: Sequence[Signs], spelt: Callable[[str], str], *others: str) -> Patterns:
    """Return the patterns of values that hold one of each of these signs, or one of ``others``, anywhere.

    ``spelt`` gives the pattern of one sign as the shape may spell it; see ``spelling``. Case counts nowhere.
    """
    groups: list[tuple[str, ...]] = []
    for texts, _, may_be_encoded in signs:
        if "" in texts:
            continue  # every value holds that
        more = (*others, r"\%") if may_be_encoded else others
        found = dict.fromkeys((*map(spelt, texts), *more))
        # what holds a text holds every piece of it
        groups.append(
            tuple(f"%{each}%" for each in found if not any(other in each for other in found if other != each))
        )
    return Patterns(tuple(groups), ignores_case=True)


AS_IT_IS = r"[^\s\S]"
"""No character may be spelt otherwise."""


def spelling(may_differ: str) -> Callable[[str], str]:
    """Return what makes a pattern of a text in which these characters (a class of a regex) may be spelt otherwise."""
    find = re.compile(f"{may_differ}+")
    return lambda text: "%".join(re.sub(r"([\\%_])", r"\\\1", part) for part in find.split(text))


def slot(start: int, stop: int, found: Written, text: str) -> Slot:
    """Return the slot of a reference that was found written at a place."""
    return tuple.__new__(Slot, (start, stop, *found[:5], text))


def replace(value: str, slots: Sequence[Slot]) -> str:
    """Return the value with the text of each slot at its place, and all else as it is. Slots are in their order."""
    if len(slots) == 1:
        only = slots[0]
        return value[: only.start] + only.text + value[only.stop :]
    parts: list[str] = []
    end = 0
    for each in slots:
        parts += (value[end : each.start], each.text)
        end = each.stop
    parts.append(value[end:])
    return "".join(parts)
