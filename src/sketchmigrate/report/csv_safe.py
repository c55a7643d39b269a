"""Cells of a CSV file that a spreadsheet would take for a formula (OWASP, "CSV Injection"): ``--csv-safe``."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError

if TYPE_CHECKING:
    from pathlib import Path

_IS_FORMULA = re.compile(r"[=+\-@\t\r](?!\d+\Z)").match
"""A number with its sign is one to a spreadsheet as well."""


def harmless(cell: str) -> str:
    """Return a cell as it is, or with an apostrophe in front, which makes it text to every spreadsheet."""
    return f"'{cell}" if _IS_FORMULA(cell) else cell


def make_harmless(path: Path) -> None:
    """Write a CSV file anew with all its cells harmless. Raises ``RunDirectoryError``."""
    unfinished = path.with_suffix(".new")
    try:
        unfinished.touch(mode=0o600)
        with (
            path.open(encoding="utf-8", errors="surrogateescape", newline="") as old,
            unfinished.open("w", encoding="utf-8", errors="surrogateescape", newline="") as new,
        ):
            csv.writer(new).writerows([harmless(cell) for cell in row] for row in csv.reader(old))
        unfinished.replace(path)
    except OSError as error:
        hint = "Set RUN_DIR (or --run-dir) to a folder on a disk with room."
        raise RunDirectoryError(f"{path} cannot be written: {error.strerror or error}", hint=hint) from error
