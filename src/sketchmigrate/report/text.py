"""Text for a terminal: harmless, whatever strangers put into it, and broken at words where lines are too long.

A path may hold anything, and a terminal obeys what it is shown. Pure, but for the terminal's width.
"""

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


def printable(text: str) -> str:
    """Return the text with all that cannot be seen written as an escape: controls, line ends, bidi marks, surrogates.

    A backslash that is there already stays single: this is for the eye, exact paths are in the list of problems.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str) -> str:
    """Do the same for a text of several lines, which stay lines."""
    return "\n".join(printable(line) for line in text.split("\n"))


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
