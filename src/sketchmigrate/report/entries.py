"""The lines of ``-v``: what was, or would be, done with one entry. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.outcome import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sketchmigrate.core.mapping import Mapping
    from sketchmigrate.settings import Settings


def entry_lines(result: Result, mapping: Mapping, settings: Settings, *, dry_run: bool) -> Iterator[str]:
    """Yield one line for an entry; for a dry run, one for each copy and each update that it would make."""
    reference = result.reference
    row = f"{settings.db_table} {settings.db_key_column}={reference.key}"
    if result.reason:
        yield f"{result.outcome:<10} {row}  {reference.path!r}: {result.reason}"
        return
    move = mapping.move(reference)
    if not dry_run:
        how = "copied" if result.copied else "object was in place"
        yield f"{result.outcome:<10} {row}  {reference.path!r} -> {move.new_path!r}  ({how})"
        return
    if result.outcome is Outcome.MIGRATED and result.copied:
        yield f"{'copy':<10} {move.source} -> {move.target}"
    yield f"{'update':<10} {row}  {settings.db_path_column}: {reference.path!r} -> {move.new_path!r}"
