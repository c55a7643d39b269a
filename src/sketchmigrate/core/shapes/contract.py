"""What a shape gives: the references in a value, and how to put others in their place. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.notation import Written
    from sketchmigrate.core.reason import Reason
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


class Shape(Protocol):
    """A way of holding references in a value, which is the text that PostgreSQL writes for the column."""

    def read(self, value: str, side: SideName | None = None) -> Reading:
        """Return the references of a value; with a ``side``, as something else has told that they are on it."""
        ...


NOTHING = Reading(())


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
