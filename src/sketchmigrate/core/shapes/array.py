"""An array of texts: each element is one reference. Pure.

Source: PostgreSQL manual, section 8.15.6, "Array Input and Output Syntax"; when an element is quoted: ``array_out``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.mapping import Unmappable
from sketchmigrate.core.shapes.contract import Patterns, Reading, Shape, Slot, slot, spelling, within

if TYPE_CHECKING:
    from sketchmigrate.core.notation import Notation
    from sketchmigrate.core.reason import Reason
    from sketchmigrate.core.rule import SideName

_elements = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^{},"\\]++)', re.DOTALL).finditer
_escaped = re.compile(r"\\(.)", re.DOTALL).sub
_to_escape = re.compile(r'(["\\])').sub
# what array_isspace takes for space is that of ASCII alone
_is_plain = re.compile(r'(?![Nn][Uu][Ll][Ll]\Z)[^"\\{}, \t\n\r\v\f]+').fullmatch


@dataclass(frozen=True, slots=True)
class Array(Shape):
    """The text of a ``text[]`` or ``varchar[]``: bounds, dimensions and NULLs stay. See ``Shape``."""

    notation: Notation

    def patterns(self, side: SideName) -> Patterns:
        """See ``Shape``."""
        return within(self.notation.signs(side), spelling(r"""["\\]"""))

    def read(self, value: str, side: SideName | None = None) -> Reading:
        """See ``Shape``. A slot is an element with its quotes, as the new one may need some, or none."""
        slots: list[Slot] = []
        failure: Reason | None = None
        # bounds stand in front: [0:1]={a,b}
        for element in _elements(value, max(value.find("{"), 0)):
            quoted, plain = element.groups()
            if plain == "NULL":
                continue
            text = plain if quoted is None else _escaped(r"\1", quoted) if "\\" in quoted else quoted
            try:
                found = self.notation.read(text, side)
            except Unmappable as fault:
                failure = failure or fault.reason
                continue
            if found is not None:
                start, stop = element.span()
                slots.append(slot(start, stop, found, element_text(found.front + text[found.cut :])))
        return Reading(tuple(slots), failure)


def element_text(text: str) -> str:
    """Write an element as PostgreSQL does."""
    return text if _is_plain(text) else '"' + _to_escape(r"\\\1", text) + '"'
