"""How many rows are legacy, and whether the ledger of a run fits on its disk, told before the run begins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.ledger.disk import free_bytes, ledger_bytes
from sketchmigrate.postgres.row_value import is_told
from sketchmigrate.postgres.statistics import MOST_ROWS_OF_A_BLOCK, count_blocks, sample_paths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.migration.site import Site
    from sketchmigrate.postgres.session import Session


def value_bytes(sample: Sequence[Move]) -> float:
    """Return how many bytes the old and the new value of a row have together, on average over some."""
    if not sample:
        return 0.0
    return sum(len(move.reference.path.encode()) + len(move.new_path.encode()) for move in sample) / len(sample)


def too_little_room(directory: Path, needed_bytes: int, rows: int, free: int) -> RunDirectoryError | None:
    """Return the error of a run whose ledger does not fit; None where it does."""
    if needed_bytes <= free:
        return None
    return RunDirectoryError(
        f"the ledger of this run would not fit: about {rows:,} rows need {decimal(needed_bytes)}, and the disk of"
        f" {directory} has {decimal(free)} free",
        hint="Point RUN_DIR to a disk with more room, set LEDGER_URL, or take fewer rows with -l.",
    )


async def check_room(site: Site, directory: Path, limit: int | None) -> None:
    """See that the ledger of a migration fits on the disk. Raises ``RunDirectoryError``, with the figures.

    The sizes of the tables in blocks are enough where even as many rows as they can hold would fit. Else a sample tells
    how many there are, and how many of them are legacy, where the values themselves tell. The planner's figures are not
    asked: they may be older than what was filled or migrated since, and there are none of a table that was never
    analysed.
    """
    if site.settings.ledger_url or not site.sample:
        return
    free, most = free_bytes(directory), limit or math.inf
    working = [each for each in site.sources if each.sample]

    def judge(rows_of: Sequence[int]) -> RunDirectoryError | None:
        rows, needed_bytes, left = 0, 0, most
        for source, found in zip(working, rows_of, strict=True):
            some = int(min(found, left))
            rows, left = rows + some, left - some
            needed_bytes += ledger_bytes(some, value_bytes(source.sample), in_database=False)
        return too_little_room(directory, needed_bytes, rows, free)

    async with site.database.session() as session:
        doing = "looking at the size of the table"
        blocks = [await session.run(count_blocks, each.table, doing=doing) for each in working]
        if judge([each * MOST_ROWS_OF_A_BLOCK for each in blocks]) is None:
            return
        if not all(is_told(each.mapping) for each in working):
            return  # what part of their rows is legacy takes a look at whole values: ``plan`` does that
        rows = [await _legacy_rows(session, each) for each in working]
    if error := judge(rows):
        raise error


async def estimated_legacy_rows(site: Site) -> int | None:
    """Return about how many rows are legacy by a sample of each table, None where their values alone do not tell.

    Raises ``DatabaseError``.
    """
    if not all(is_told(each.mapping) for each in site.sources):
        return None
    async with site.database.session() as session:
        return sum([await _legacy_rows(session, each) for each in site.sources if each.sample])


async def _legacy_rows(session: Session, source: SourceTable) -> int:
    sample = await sample_paths(session, source.table)
    legacy = [path for path in sample.paths if source.mapping.is_legacy(path)]
    return round(sample.table_rows * len(legacy) / len(sample.paths)) if sample.paths else 0
