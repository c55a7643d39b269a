"""What is told of sources and places, one or several, in the words of a report. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.rule import SideName
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sketchmigrate.core.routes import Routes
    from sketchmigrate.core.source import Source


def beginnings(routes: Routes, side: SideName) -> str:
    """Say how keys of a side begin."""
    return either(
        dict.fromkeys(
            route.legacy_prefix if side is SideName.LEGACY else route.production_prefix for route in routes.all
        )
    )


def places(routes: Routes, side: SideName) -> str:
    """Say where the objects of a side lie."""
    return ", ".join(str(place) for place in routes.places(side))


def either(words: Iterable[str]) -> str:
    """Join words by "or"."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def columns_of(source: Source) -> str:
    """Name what a row of a source is known by: its column, or those that a flip sets."""
    return source.column or ", ".join(name for name, _ in source.sets)


def title_of(sources: Sequence[Source]) -> str:
    """Say whose rows are counted."""
    if len(sources) == 1:
        (source,) = sources
        return f"Rows of {source.table}, by their {columns_of(source)}"
    return f"Rows of {len(sources)} sources"


def table_of(columns: Sequence[str], lines: Sequence[tuple[str, Sequence[int]]]) -> list[str]:
    """Return a table: a name and some counts in each line, below their titles."""
    names = [printable(name) for name, _ in lines]
    widest = max(map(len, names), default=0)
    widths = [
        max(len(title), *(len(f"{counts[at]:,}") for _, counts in lines)) if lines else len(title)
        for at, title in enumerate(columns)
    ]
    head = "  ".join(f"{title:>{width}}" for title, width in zip(columns, widths, strict=True))
    shown = [f"  {'':<{widest}}  {head}"]
    for name, (_, counts) in zip(names, lines, strict=True):
        figures = "  ".join(f"{count:>{width},}" for count, width in zip(counts, widths, strict=True))
        shown.append(f"  {name:<{widest}}  {figures}")
    return shown
