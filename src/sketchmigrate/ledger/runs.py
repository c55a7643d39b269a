"""Runs, wherever their ledgers are: in the directory of each, or in the database that LEDGER_URL names."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import UsageError
from sketchmigrate.ledger.account import account_in
from sketchmigrate.ledger.database import (
    check_database,
    ledger_in_database,
    listed_in_database,
    past_in_database,
    place_in_database,
)
from sketchmigrate.ledger.directory import LEDGER_NAME, find_ledgers, pointer_in
from sketchmigrate.ledger.sqlite.past_run import PastFiles
from sketchmigrate.ledger.sqlite.workers import FolderPlace, RunLedger

if TYPE_CHECKING:
    import asyncio
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sketchmigrate.ledger.contract import LedgerPlace, PastRun
    from sketchmigrate.ledger.directory import Pointer
    from sketchmigrate.ledger.postgres.run import DatabaseRunLedger
    from sketchmigrate.settings import Settings

log = logging.getLogger(__name__)

SAID_FIRST = 3
"""So many pointers to elsewhere are named."""

_SAID: set[str] = set()
"""What was said by this process of pointers that are left alone: a run looks at past ones more than once."""


def new_ledger(
    directory: Path, settings: Settings, description: dict[str, str], stopping: asyncio.Event
) -> AbstractAsyncContextManager[RunLedger | DatabaseRunLedger]:
    """Return the ledger of the run with this directory, to be entered, which raises ``RunDirectoryError``.

    What the directory says of the run is in its ledger as well. One in a database leaves a pointer in the directory,
    without any secret. A run goes on as long as its directory is locked (``sqlite.lock``), or, where its ledger is in a
    database, that hears of it (``postgres.heartbeat``).
    """
    account = account_in(directory)
    about = description if account is None else {**description, **account.noted()}
    if not settings.ledger_url:
        return RunLedger(directory / LEDGER_NAME, description=about)
    return ledger_in_database(directory, settings, about, stopping)


async def check_place(settings: Settings, stopping: asyncio.Event, *, for_writing: bool) -> None:
    """Check that the database of LEDGER_URL, if any, is there and has the tables; with ``for_writing``, takes writes.

    Before a run begins nothing is waited for. Raises ``DatabaseError``.
    """
    if settings.ledger_url:
        await check_database(settings, stopping, for_writing=for_writing)


def place_of(directory: Path, settings: Settings) -> LedgerPlace:
    """Return where the workers of this run write."""
    return place_in_database(settings, directory.name) if settings.ledger_url else FolderPlace(directory.absolute())


def past_run(directory: Path, settings: Settings) -> PastRun:
    """Return the run with this directory, to be entered.

    Where the directory is gone, as that of a container may be, LEDGER_URL and its name still find it. Raises
    ``UsageError`` where its ledger is in a database, and LEDGER_URL names none.
    """
    pointer = pointer_in(directory)
    if pointer is not None:
        if settings.ledger_url:
            return past_in_database(settings, pointer.run_id or directory.name, directory)
        hint = "Only LEDGER_URL says which database has ledgers: if that one is yours, set it to that."
        raise UsageError(f"{pointer}, and LEDGER_URL names no database", hint=hint)
    if settings.ledger_url and not directory.exists():
        return past_in_database(settings, directory.name, directory)
    return PastFiles(directory)


def past_runs(folder: Path, settings: Settings) -> list[PastRun]:
    """Return all runs below a folder, and those in the database of LEDGER_URL, the oldest first; to be entered.

    Raises ``UsageError`` where there is no such folder, and ``DatabaseError``.
    """
    in_database = {each.run_id for each in listed_in_database(settings)}
    runs, left = _below(folder, settings, in_database)
    runs += [past_in_database(settings, run_id, folder / run_id) for run_id in in_database]
    name_foreign(left)
    return sorted(runs, key=lambda run: run.directory.name)


def runs_below(folder: Path, settings: Settings) -> tuple[list[PastRun], list[Pointer]]:
    """Return the runs whose directories are below a folder, and pointers to what is not in the database of LEDGER_URL.

    Raises ``UsageError`` where there is no such folder, and ``DatabaseError``.
    """
    return _below(folder, settings, {each.run_id for each in listed_in_database(settings)})


def name_foreign(left: list[Pointer]) -> None:
    """Say once of the first pointers that what they name is left alone, and how many more there are."""
    said = [f"{each}, which the database of LEDGER_URL does not have: it is left alone." for each in left[:SAID_FIRST]]
    if len(left) > SAID_FIRST:
        said.append(f"So are {len(left) - SAID_FIRST:,} more.")
    for text in said:
        if text not in _SAID:
            _SAID.add(text)
            log.warning("%s", text)


def _below(folder: Path, settings: Settings, in_database: set[str]) -> tuple[list[PastRun], list[Pointer]]:
    """Take what is found below a folder out of what is in the database."""
    runs: list[PastRun] = []
    left: list[Pointer] = []
    for directory in find_ledgers(folder):
        pointer = pointer_in(directory)
        if pointer is None:
            runs.append(PastFiles(directory))
        elif pointer.run_id in in_database:
            in_database.remove(pointer.run_id)
            runs.append(past_in_database(settings, pointer.run_id, directory))
        else:
            left.append(pointer)
    return runs, left
