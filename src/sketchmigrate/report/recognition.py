"""How rows on neither side are told to a person. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.appearance import examples
from sketchmigrate.core.rule import SideName
from sketchmigrate.report.sources import beginnings, columns_of, either, places
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.routes import Routes
    from sketchmigrate.core.source import Source
    from sketchmigrate.core.status import OtherRow

RIGHT_PLACE = "Are LEGACY_BUCKET and LEGACY_PREFIX right?"
"""Where they are, the legacy objects were deleted after their migration."""

SHOWN_CHARS = 200
"""A longer path is cut."""


def nothing_recognised(sources: Sequence[Source], routes: Routes, rows: Sequence[OtherRow]) -> str:
    """Say that no value is on either side, and what the first of them look like."""
    both = either(dict.fromkeys((beginnings(routes, SideName.LEGACY), beginnings(routes, SideName.PRODUCTION))))
    text = (
        f"{_tables(sources)} rows with a {_value(sources)}, and {places(routes, SideName.LEGACY)} has objects,\n"
        f"but no {_columns(sources)} {_names(sources)} {both}."
    )
    return _with_examples(text, rows)


def nothing_in_legacy(sources: Sequence[Source], routes: Routes, count: int, rows: Sequence[OtherRow]) -> str:
    """Say that legacy is empty and that rows are on neither side, how many, and what the first of them look like."""
    one = len(sources) == 1
    text = (
        f"{places(routes, SideName.LEGACY)} has no object, and no {_columns(sources)}"
        + (f" of {sources[0].table}" if one else "")
        + f"\n{_names(sources)} {beginnings(routes, SideName.LEGACY)}, but {count:,} with a {_value(sources)}"
        f" are on neither side.\n{RIGHT_PLACE}"
    )
    return _with_examples(text, rows)


def source_unrecognised(names: Sequence[str]) -> str:
    """Say that no value of these sources is on either side."""
    return f"no value of {', '.join(names)} names either side: is it the right column, and has it the right moves?"


def _with_examples(text: str, rows: Sequence[OtherRow]) -> str:
    return "\n".join((f"{text} The rows look like this:", other_rows(rows))) if rows else text


def _tables(sources: Sequence[Source]) -> str:
    tables = ", ".join(dict.fromkeys(source.table for source in sources))
    return f"{tables} has" if len(sources) == 1 else f"{tables} have"


def _columns(sources: Sequence[Source]) -> str:
    return columns_of(sources[0]) if len(sources) == 1 else f"value of {', '.join(source.name for source in sources)}"


def _value(sources: Sequence[Source]) -> str:
    return "path" if all(source.is_of_keys for source in sources) else "value"


def _names(sources: Sequence[Source]) -> str:
    return "begins with" if all(source.is_of_keys for source in sources) else "names what begins with"


def other_rows(rows: Sequence[OtherRow]) -> str:
    """List some of the rows, two lines each: what is there, and what it seems to be."""
    lines: list[str] = []
    for row in examples(rows):
        path = row.path if len(row.path) <= SHOWN_CHARS else row.path[:SHOWN_CHARS] + "…"
        lines += [f"  {printable(row.key)}  {printable(path)}", f"      seems to be {printable(told(row))}"]
    return "\n".join(lines)


def told(row: OtherRow) -> str:
    """Say of a row what it seems to be."""
    if row.legacy_key:
        return f"{row.seems} of the legacy object {row.legacy_key}, which is there"
    return f"{row.seems}; {row.refused}" if row.refused else row.seems
