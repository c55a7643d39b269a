"""The lines of ``-v``: what was, or would be, done with one entry. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.outcome import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sketchmigrate.core.source import Source

SHOWN_CHARS = 200
"""A longer value is cut: it may be a whole document."""


def entry_lines(result: Result, source: Source, *, dry_run: bool) -> Iterator[str]:
    """Yield one line for an entry; for a dry run, one for each copy and each update that it would make."""
    reference, move = result.reference, result.move
    row = f"{source.table} {', '.join(source.key) or 'key'}={reference.key}"
    if result.reason or move is None:
        yield f"{result.outcome:<10} {row}  {_shown(reference.path)}" + (f": {result.reason}" if result.reason else "")
        return
    if not dry_run:
        how = "copied" if result.copied else "object was in place"
        yield f"{result.outcome:<10} {row}  {_shown(reference.path)} -> {_shown(move.new_path)}  ({how})"
        return
    if result.outcome is Outcome.MIGRATED and result.copied:
        for pair in move.pairs:
            yield f"{'copy':<10} {pair.source} -> {pair.target}"
    yield f"{'update':<10} {row}  {source.column or source.name}: {_shown(reference.path)} -> {_shown(move.new_path)}"


def _shown(value: str) -> str:
    return repr(value if len(value) <= SHOWN_CHARS else value[:SHOWN_CHARS] + "…")
