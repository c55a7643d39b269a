"""The way to ledgers in the database that LEDGER_URL names.

What reads and writes there, and psycopg with it, is imported only where it names one: most runs have their ledger in a
file, and what only looks at such a one starts in half the time.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sketchmigrate.ledger.directory import leave_pointer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sketchmigrate.ledger.contract import LedgerPlace, PastRun
    from sketchmigrate.ledger.postgres.past_run import ListedRun
    from sketchmigrate.ledger.postgres.run import DatabaseRunLedger
    from sketchmigrate.settings import Settings


@asynccontextmanager
async def ledger_in_database(
    directory: Path, settings: Settings, description: dict[str, str], stopping: asyncio.Event
) -> AsyncIterator[DatabaseRunLedger]:
    """Enter a ledger in the database. The pointer comes after the run that it names: a kill leaves none to nothing."""
    from sketchmigrate.ledger.postgres.heartbeat import beating  # noqa: PLC0415 - see above
    from sketchmigrate.ledger.postgres.run import DatabaseRunLedger  # noqa: PLC0415 - the same

    async with DatabaseRunLedger(settings, directory.name, description=description, stopping=stopping) as ledger:
        leave_pointer(directory, settings.ledger_url)
        async with beating(ledger.server, directory.name):
            yield ledger


async def check_database(settings: Settings, stopping: asyncio.Event, *, for_writing: bool) -> None:
    """Check that the database is there and has the tables; with ``for_writing``, that it takes writes.

    Raises ``DatabaseError``.
    """
    from sketchmigrate.ledger.postgres.server import LedgerServer  # noqa: PLC0415 - see above

    await LedgerServer(settings, stopping=stopping).check_at_once(for_writing=for_writing)


def place_in_database(settings: Settings, run_id: str) -> LedgerPlace:
    """Return where the workers of a run write."""
    from sketchmigrate.ledger.postgres.writer import DatabasePlace  # noqa: PLC0415 - see above

    return DatabasePlace(settings, run_id)


def past_in_database(settings: Settings, run_id: str, directory: Path) -> PastRun:
    """Return a run whose ledger is there, to be entered."""
    from sketchmigrate.ledger.postgres.past_run import PastDatabase  # noqa: PLC0415 - see above

    return PastDatabase(settings.ledger_url, run_id, directory)


def listed_in_database(settings: Settings) -> list[ListedRun]:
    """Return the runs that it has, in the order in which they began; none without one. Raises ``DatabaseError``."""
    if not settings.ledger_url:
        return []
    from sketchmigrate.ledger.postgres.past_run import list_runs  # noqa: PLC0415 - see above

    return list_runs(settings.ledger_url)
