"""Which runs may be deleted: those that have only looked, and on which nothing rests."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import MigrateError, RunDirectoryError
from sketchmigrate.ledger.directory import POINTER_NAME
from sketchmigrate.ledger.overview import RunState
from sketchmigrate.ledger.sqlite.lock import is_held
from sketchmigrate.ledger.sqlite.past_run import PastFiles

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from sketchmigrate.ledger.overview import RunOverview

VERIFY = "verify"


def prunable(runs: Sequence[RunOverview], looks: Collection[str], began_before: float) -> list[RunOverview]:
    """Return those of the runs, the oldest first, that may be deleted. Pure.

    ``looks`` are the names of those that only looked, by what was typed. The newest verification stays, and so does the
    newest that found nothing wrong: ``manifest`` rests on it. What is in a database stays, and what is not known to be
    over.
    """
    verified = [run for run in runs if run.command == VERIFY]
    kept = {run.name for run in (*verified[-1:], *[run for run in verified if run.exit_code == 0][-1:])}
    return [
        run
        for run in runs
        if run.directory is not None
        and run.state in {RunState.FINISHED, RunState.STOPPED, RunState.KILLED}
        and not run.unread
        and run.name not in kept
        and run.began_at is not None
        and run.began_at < began_before
        and run.name in looks
    ]


def has_changed_nothing(directory: Path) -> bool:
    """Whether no flip and no open upload is on record in a run's directory. Raises ``MigrateError``."""
    if (directory / POINTER_NAME).exists():
        return False  # its ledger is in a database, where others see it
    if not any(directory.glob("ledger*")):
        return True
    with PastFiles(directory) as past:
        begun, ended = past.uploads()
        return not past.flips and all(upload.upload_id in ended for upload in begun)


def size_bytes(directory: Path) -> int:
    """Return what the files of a directory have, together."""
    return sum(file.lstat().st_size for file in directory.rglob("*") if file.is_file())


def delete(directory: Path) -> None:
    """Delete a run's directory, if it is still what it was. Raises ``RunDirectoryError``."""
    try:
        if not _is_safe(directory):
            raise RunDirectoryError(f"{directory} is not what it was: it is left alone")
        shutil.rmtree(directory)
    except OSError as error:
        raise RunDirectoryError(f"{directory} cannot be deleted: {error.strerror or error}") from error


def is_safe(run: RunOverview) -> bool:
    """Whether a run that may be deleted has changed nothing, and its process is gone, as far as can be read.

    The process may still make the page about it.
    """
    try:
        return run.directory is not None and _is_safe(run.directory)
    except MigrateError:
        return False


def _is_safe(directory: Path) -> bool:
    return not directory.is_symlink() and not is_held(directory) and has_changed_nothing(directory)
