"""A run's directory: the ledger is in it, or a pointer that stands for one in a database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError, UsageError
from sketchmigrate.settings.values import without_password

if TYPE_CHECKING:
    from pathlib import Path

LEDGER_NAME = "ledger.sqlite"
POINTER_NAME = "ledger.json"
"""Stands for the ledger where that is in a database."""


def find_ledgers(folder: Path) -> list[Path]:
    """Return every run's directory below ``folder`` (or itself) that holds a ledger. Raises ``UsageError``."""
    if not folder.is_dir():
        raise UsageError(
            f"there is no folder {folder}", hint="Give the directory of a run, or with --all their parent."
        )
    return sorted({found.parent for name in (LEDGER_NAME, POINTER_NAME) for found in folder.rglob(name)})


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a ``ledger.json`` says: the run that it stands for, and where its ledger was. Empty where it cannot be read.

    Whoever may write below RUN_DIR may have written it. So it is never a reason to connect anywhere.
    """

    directory: Path
    run_id: str = ""
    url: str = ""

    def __str__(self) -> str:
        said = f"names the ledger of run {self.run_id} at {self.url}" if self.run_id else "cannot be read"
        return f"{self.directory / POINTER_NAME} {said}"


def pointer_in(directory: Path) -> Pointer | None:
    """Return the pointer in a run's directory; None where there is none, or the ledger itself is beside it."""
    path = directory / POINTER_NAME
    if not path.is_file() or (directory / LEDGER_NAME).is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Pointer(directory, str(told["run"]), without_password(str(told["url"])))
    except (OSError, ValueError, KeyError, TypeError):
        return Pointer(directory)


def leave_pointer(directory: Path, url: str) -> None:
    """Say in a run's directory that its ledger is in the database with this URL. Raises ``RunDirectoryError``."""
    pointer = directory / POINTER_NAME
    unfinished = pointer.with_suffix(".new")
    try:
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps({"url": url, "run": directory.name}, indent=2) + "\n")
        unfinished.rename(pointer)
    except OSError as error:
        hint = "Set RUN_DIR (or --run-dir) to a folder that you may write to."
        raise RunDirectoryError(f"{pointer} cannot be written: {error.strerror or error}", hint=hint) from error
