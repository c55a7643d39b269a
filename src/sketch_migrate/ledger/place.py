"""Where the ledger of a new run is: a file in its directory, or the database that LEDGER_URL names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sketch_migrate.errors import RunDirectoryError
from sketch_migrate.ledger.attempts import FolderPlace, RunLedger
from sketch_migrate.ledger.database import DatabaseLedger, DatabasePlace
from sketch_migrate.ledger.reading import LEDGER_NAME, POINTER_NAME

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from sketch_migrate.ledger.contract import LedgerPlace
    from sketch_migrate.settings import Settings


def new_ledger(
    directory: Path, settings: Settings, description: dict[str, str], stopping: asyncio.Event
) -> RunLedger | DatabaseLedger:
    """Return the ledger of the run with this directory, to be entered. Raises ``RunDirectoryError``.

    One in a database leaves a pointer in the directory, without any secret.
    """
    if not settings.ledger_url:
        return RunLedger(directory / LEDGER_NAME, description=description)
    pointer = directory / POINTER_NAME
    try:
        pointer.touch(mode=0o600)
        pointer.write_text(json.dumps({"url": settings.ledger_url, "run": directory.name}, indent=2) + "\n")
    except OSError as error:
        hint = "Set RUN_DIR (or --run-dir) to a folder that you may write to."
        raise RunDirectoryError(f"{pointer} cannot be written: {error.strerror or error}", hint=hint) from error
    return DatabaseLedger(settings, directory.name, description=description, stopping=stopping)


def place_of(directory: Path, settings: Settings) -> LedgerPlace:
    """Return where the workers of this run write."""
    return DatabasePlace(settings, directory.name) if settings.ledger_url else FolderPlace(directory.absolute())
