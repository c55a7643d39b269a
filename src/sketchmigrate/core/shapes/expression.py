"""Keys that are computed from a row, and stand nowhere in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.shapes.contract import Patterns, Reading, Shape

if TYPE_CHECKING:
    from sketchmigrate.core.rule import SideName


@dataclass(frozen=True, slots=True)
class Computed(Shape):
    """What SQL gives is read like a value of an ``inner`` shape, and nothing is written in its place."""

    inner: Shape

    def patterns(self, side: SideName) -> Patterns:  # noqa: ARG002 - it is nowhere in the row
        """See ``Shape``: SQL tells these rows by a condition."""
        return Patterns(())

    def read(self, value: str, side: SideName | None = None) -> Reading:
        """See ``Shape``."""
        slots, failure = self.inner.read(value, side)
        return Reading(tuple(each._replace(text=value[each.start : each.stop]) for each in slots), failure)
