"""Lines for a terminal, broken at words where they are longer than it is wide. Pure, but for its width."""

from __future__ import annotations

import os
import re
import textwrap
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

NARROWEST = 20
"""Below it nothing is gained."""

_COLUMN_ENDS = re.compile(r"\S {2,}(?=\S)")
_LABEL = re.compile(r"[A-Za-z0-9]+: +")


def columns_of(stream: TextIO | None, environ: Mapping[str, str]) -> int:
    """Return how many columns a terminal has (COLUMNS goes before it), or 0 where it cannot be told."""
    if stream is None:
        return 0
    if (said := environ.get("COLUMNS", "")).isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def wrapped(text: str, columns: int) -> str:
    """Break lines at blanks. What goes on stands below the last column of a table, or below what follows a label.

    No word is parted: a path or a URL stays whole, and can be copied. ``columns`` 0 leaves everything as it is.
    """
    if columns < NARROWEST:
        return text
    return "\n".join(line if len(line) <= columns else _broken(line, columns) for line in text.split("\n"))


def _broken(line: str, columns: int) -> str:
    return "\n".join(
        textwrap.wrap(
            line,
            columns,
            subsequent_indent=" " * _indent(line, columns),
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
        )
    )


def _indent(line: str, columns: int) -> int:
    ends = [found.end() for found in _COLUMN_ENDS.finditer(line) if found.end() <= columns // 2]
    if ends:
        return ends[-1]
    if label := _LABEL.match(line):
        return label.end()
    return len(line) - len(line.lstrip())
