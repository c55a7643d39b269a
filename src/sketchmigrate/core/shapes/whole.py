"""The whole value is one reference: a key, or a URL. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.mapping import Unmappable
from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.shapes.contract import AS_IT_IS, NOTHING, Patterns, Reading, slot, spelling, within

if TYPE_CHECKING:
    from sketchmigrate.core.notation import Notation
    from sketchmigrate.core.routes import Route
    from sketchmigrate.core.rule import SideName


@dataclass(frozen=True, slots=True)
class Whole:
    """A value that is one reference. See ``Shape``."""

    notation: Notation

    @property
    def only_route(self) -> Route | None:
        """See ``Shape``."""
        notation = self.notation
        return notation.routes.all[0] if isinstance(notation, KeyNotation) and len(notation.routes.all) == 1 else None

    def patterns(self, side: SideName) -> Patterns:
        """See ``Shape``. A key begins with its prefix, and whatever does is one."""
        if isinstance(self.notation, KeyNotation):
            return Patterns((self.notation.beginnings(side),), is_exact=True)
        return within(self.notation.signs(side), spelling(AS_IT_IS))

    def read(self, value: str, side: SideName | None = None) -> Reading:
        """See ``Shape``."""
        try:
            found = self.notation.read(value, side)
        except Unmappable as fault:
            return Reading((), fault.reason)
        if found is None:
            return NOTHING
        return tuple.__new__(Reading, ((slot(0, len(value), found, found.front + value[found.cut :]),), None))
