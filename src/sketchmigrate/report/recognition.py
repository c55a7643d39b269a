"""How rows on neither side are told to a person. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.appearance import examples
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.status import OtherRow
    from sketchmigrate.settings import Settings

RIGHT_PLACE = "Are LEGACY_BUCKET and LEGACY_PREFIX right?"
"""Where they are, the legacy objects were deleted after their migration."""

SHOWN_CHARS = 200
"""A longer path is cut."""


def nothing_recognised(settings: Settings, rows: Sequence[OtherRow]) -> str:
    """Say that no path is on either side, and what the first of them look like."""
    s = settings
    text = (
        f"{s.db_table} has rows with a path, and s3://{s.legacy_bucket}/{s.legacy_prefix} has objects,\n"
        f"but no {s.db_path_column} begins with {s.legacy_prefix} or {s.production_prefix}. The rows look like this:"
    )
    return "\n".join((text, other_rows(rows)))


def nothing_in_legacy(settings: Settings, count: int, rows: Sequence[OtherRow]) -> str:
    """Say that legacy is empty and that rows are on neither side, how many, and what the first of them look like."""
    s = settings
    text = (
        f"s3://{s.legacy_bucket}/{s.legacy_prefix} has no object, and no {s.db_path_column} of {s.db_table}\n"
        f"begins with {s.legacy_prefix}, but {count:,} with a path are on neither side.\n"
        f"{RIGHT_PLACE} The rows look like this:"
    )
    return "\n".join((text, other_rows(rows)))


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
