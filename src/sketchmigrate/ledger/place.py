"""Where the ledger of a new run is: a file in its directory, or the database that LEDGER_URL names."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.ledger.attempts import FolderPlace, RunLedger
from sketchmigrate.ledger.database import DatabaseLedger, DatabasePlace
from sketchmigrate.ledger.heartbeat import beating
from sketchmigrate.ledger.lock import hold_run
from sketchmigrate.ledger.reading import LEDGER_NAME, POINTER_NAME
from sketchmigrate.ledger.server import LedgerServer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sketchmigrate.ledger.contract import LedgerPlace
    from sketchmigrate.settings import Settings


def new_ledger(
    directory: Path, settings: Settings, description: dict[str, str], stopping: asyncio.Event
) -> AbstractAsyncContextManager[RunLedger | DatabaseLedger]:
    """Return the ledger of the run with this directory, to be entered, which raises ``RunDirectoryError``.

    One in a database leaves a pointer in the directory, without any secret. While it is open the run counts as going
    on: see ``lock`` and ``heartbeat``.
    """
    if not settings.ledger_url:
        return _in_the_directory(directory, description)
    return _in_the_database(directory, settings, description, stopping)


@asynccontextmanager
async def _in_the_directory(directory: Path, description: dict[str, str]) -> AsyncIterator[RunLedger]:
    """Enter a ledger in the directory. The lock comes before it: whoever finds the ledger finds it held."""
    with hold_run(directory):
        async with RunLedger(directory / LEDGER_NAME, description=description) as ledger:
            yield ledger


@asynccontextmanager
async def _in_the_database(
    directory: Path, settings: Settings, description: dict[str, str], stopping: asyncio.Event
) -> AsyncIterator[DatabaseLedger]:
    """Enter a ledger in the database. The pointer comes after the run that it names: a kill leaves none to nothing."""
    async with DatabaseLedger(settings, directory.name, description=description, stopping=stopping) as ledger:
        pointer = directory / POINTER_NAME
        unfinished = pointer.with_suffix(".new")
        try:
            unfinished.touch(mode=0o600)
            unfinished.write_text(json.dumps({"url": settings.ledger_url, "run": directory.name}, indent=2) + "\n")
            unfinished.rename(pointer)
        except OSError as error:
            hint = "Set RUN_DIR (or --run-dir) to a folder that you may write to."
            raise RunDirectoryError(f"{pointer} cannot be written: {error.strerror or error}", hint=hint) from error
        async with beating(ledger.server, directory.name):
            yield ledger


async def check_place(settings: Settings, stopping: asyncio.Event, *, for_writing: bool) -> None:
    """Check that the database of LEDGER_URL, if any, is there and has the tables; with ``for_writing``, takes writes.

    Before a run begins nothing is waited for. Raises ``DatabaseError``.
    """
    if settings.ledger_url:
        await LedgerServer(settings, stopping=stopping).check_at_once(for_writing=for_writing)


def place_of(directory: Path, settings: Settings) -> LedgerPlace:
    """Return where the workers of this run write."""
    return DatabasePlace(settings, directory.name) if settings.ledger_url else FolderPlace(directory.absolute())
