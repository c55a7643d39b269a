"""The whole value is one reference: a key, or a URL. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.mapping import Unmappable
from sketchmigrate.core.shapes.contract import NOTHING, Reading, slot

if TYPE_CHECKING:
    from sketchmigrate.core.notation import Notation
    from sketchmigrate.core.rule import SideName


@dataclass(frozen=True, slots=True)
class Whole:
    """A value that is one reference. See ``Shape``."""

    notation: Notation

    def read(self, value: str, side: SideName | None = None) -> Reading:
        """See ``Shape``."""
        try:
            found = self.notation.read(value, side)
        except Unmappable as fault:
            return Reading((), fault.reason)
        if found is None:
            return NOTHING
        return tuple.__new__(Reading, ((slot(0, len(value), found, found.front + value[found.cut :]),), ""))
