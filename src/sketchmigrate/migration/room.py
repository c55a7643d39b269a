"""Whether the ledger of a run fits on its disk, told before the run begins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.rule import Rule
from sketchmigrate.ledger.disk import free_bytes, ledger_bytes
from sketchmigrate.postgres.statistics import MOST_ROWS_OF_A_BLOCK, count_blocks, sample_paths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sketchmigrate.migration.site import Site
    from sketchmigrate.settings import Settings


def path_bytes(legacy_paths: Sequence[str], settings: Settings) -> float:
    """Return how many bytes old and new path of a row have together, on average over some."""
    if not legacy_paths:
        return 0.0
    longer = Rule(settings.legacy_prefix, settings.production_prefix).longer_bytes
    return 2 * sum(len(path.encode()) for path in legacy_paths) / len(legacy_paths) + longer


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

    The size of the table in blocks is enough where even as many rows as they can hold would fit. Else a sample tells
    how many there are, and how many of them are legacy. The planner's figures are not asked: they may be older than
    what was filled or migrated since, and there are none of a table that was never analysed.
    """
    if site.settings.ledger_url or not site.legacy_paths:
        return
    free, most = free_bytes(directory), limit or math.inf

    def judge(rows: int, paths: Sequence[str]) -> RunDirectoryError | None:
        rows = int(min(rows, most))
        needed_bytes = ledger_bytes(rows, path_bytes(paths, site.settings), in_database=False)
        return too_little_room(directory, needed_bytes, rows, free)

    async with site.database.session() as session:
        blocks = await session.run(count_blocks, site.table, doing="looking at the size of the table")
        if judge(blocks * MOST_ROWS_OF_A_BLOCK, site.legacy_paths) is None:
            return
        sample = await sample_paths(session, site.table)
    legacy = [path for path in sample.paths if path.startswith(site.settings.legacy_prefix)]
    if legacy and (error := judge(round(sample.table_rows * len(legacy) / len(sample.paths)), legacy)):
        raise error
