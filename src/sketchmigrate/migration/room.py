"""Whether the ledger of a run fits on its disk, told before the run begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.rule import Rule
from sketchmigrate.ledger.disk import free_bytes, ledger_bytes
from sketchmigrate.postgres.statistics import spread_paths

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

    The planner's number of rows is enough where even all of them would fit. Else a sample of the table as it is now
    tells how many of them are legacy: statistics may be older than what was migrated since. Where the table was never
    analysed, nobody knows how many rows it has, and nothing is checked.
    """
    rows = site.table.estimated_rows
    if rows is None or site.settings.ledger_url or not site.legacy_paths:
        return
    rows = rows if limit is None else min(rows, limit)
    bytes_a_row, free = path_bytes(site.legacy_paths, site.settings), free_bytes(directory)
    if too_little_room(directory, ledger_bytes(rows, bytes_a_row, in_database=False), rows, free) is None:
        return
    async with site.database.session() as session:
        paths = await spread_paths(session, site.table, fresh=True)
    legacy = [path for path in paths if path.startswith(site.settings.legacy_prefix)]
    if not legacy:
        return
    share = len(legacy) / len(paths)
    left = round((site.table.estimated_rows or 0) * share)
    left = left if limit is None else min(left, limit)
    needed_bytes = ledger_bytes(left, path_bytes(legacy, site.settings), in_database=False)
    if error := too_little_room(directory, needed_bytes, left, free):
        raise error
