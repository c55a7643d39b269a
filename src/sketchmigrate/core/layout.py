"""How the columns of a row make up its value, one text that a flip compares and exchanges as a whole. Pure.

The value of a single column is its text. Of several it is a JSON array of their texts, written as PostgreSQL writes a
``jsonb``: so what is made here can be compared with what the server makes, byte by byte.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a value: the one of the references, if there is one, those that a flip sets, those it only reads.

    ``sets`` are the texts that the server writes for what they are set to.
    """

    has_column: bool
    sets: tuple[str | None, ...]
    reads: int

    def split(self, value: str) -> list[str | None]:
        """Return the texts of the columns; None is NULL."""
        texts: list[str | None] = json.loads(value)
        return texts

    def column(self, value: str) -> str | None:
        """Return the text of the column of the references; None is NULL, or no such column."""
        return self.split(value)[0] if self.has_column else None

    def flipped(self, value: str, column: str | None) -> str:
        """Return the value with another text of that column, and what a flip sets."""
        texts = self.split(value)
        begin = int(self.has_column)
        texts[begin : begin + len(self.sets)] = self.sets
        if self.has_column:
            texts[0] = column
        return joined(texts)

    def is_set(self, value: str) -> bool:
        """Whether the columns hold what a flip sets."""
        begin = int(self.has_column)
        return tuple(self.split(value)[begin : begin + len(self.sets)]) == self.sets


def joined(texts: list[str | None]) -> str:
    """Return the value of several columns."""
    return json.dumps(texts, ensure_ascii=False)
