"""Which objects a row names, and on which side, as it is: before its flip or after it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.mapping import NOTHING_COMPUTED, Unmappable
from sketchmigrate.core.objects import Location
from sketchmigrate.core.reference import Reference, Unreadable
from sketchmigrate.core.rule import SideName

if TYPE_CHECKING:
    from sketchmigrate.core.mapping import Computed, Mapping
    from sketchmigrate.core.reason import Reason
    from sketchmigrate.core.shapes.contract import Reading


class NamedObject(NamedTuple):
    """A reference of a row: the object that it names, and the side that it is on."""

    side: SideName
    place: Location


class Named(NamedTuple):
    """The side that a row is on, and its references.

    ``failure``: why there is one besides that cannot be read, or be told as one. ``refusal``: why the row as a whole
    could not be flipped. Neither concerns what is in production.
    """

    side: SideName
    objects: tuple[NamedObject, ...] = ()
    failure: Reason | None = None
    refusal: Reason | None = None


def named_by(mapping: Mapping, value: str | None, *, meets: bool, computed: Computed = NOTHING_COMPUTED) -> Named:
    """Return what a row names that meets the condition of the settings, or does not.

    Of one that is on neither side, as the settings leave it out, it is what is a legacy object all the same.
    """
    side = mapping.side_of(value, meets=meets)
    if value is None:
        return Named(side)
    if side is SideName.PRODUCTION:
        return Named(side, in_production(mapping, value, computed))
    objects: tuple[NamedObject, ...] = ()
    failure: Reason | None = None
    if not isinstance(value, Unreadable):
        reading = mapping.read(value, computed)
        objects, failure = _objects(reading), reading.failure
    if side is SideName.NEITHER:
        return Named(side, tuple(each for each in objects if each.side is SideName.LEGACY))
    try:
        left = mapping.move(Reference("", value), computed).left
    except Unmappable as unmappable:
        is_any = any(each.side is SideName.LEGACY for each in objects)
        return Named(side, objects, failure or (None if is_any else unmappable.reason), unmappable.reason)
    return Named(side, objects, left.reason if left is not None else None)


def in_production(mapping: Mapping, value: str, computed: Computed = NOTHING_COMPUTED) -> tuple[NamedObject, ...]:
    """Return what a row names that is in production, or whose value a flip has set."""
    if not mapping.sides_by_row:
        return _objects(mapping.read(value, computed))
    layout = mapping.layout
    if layout is None or layout.has_column:
        text = value if layout is None else layout.column(value)
        return _objects(mapping.shape.read(text or "", SideName.PRODUCTION))
    # what is computed are the legacy keys: the row names what they have become
    return tuple(
        NamedObject(SideName.PRODUCTION, Location(slot.other_bucket, slot.other_key))
        for slot in mapping.read(value, computed).slots
    )


def _objects(reading: Reading) -> tuple[NamedObject, ...]:
    return tuple(NamedObject(slot.side, Location(slot.bucket, slot.key)) for slot in reading.slots)
