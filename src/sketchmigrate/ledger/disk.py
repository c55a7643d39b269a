"""The room that a ledger needs, the room that the disk of RUN_DIR has, and what to do about an error of it.

Measured with 20 000 flips in batches of 500 (tests/integration/test_ledger_size.py): 215 bytes a flip in PostgreSQL,
its index included, with paths of 24 and 25 characters; 47 in a file with these, and 55 besides the two values where
these have no end in common.
"""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError

if TYPE_CHECKING:
    from pathlib import Path

FILE_ROW_BYTES = 56
"""Of a flip in SQLite, besides its paths: the ETag's 16 bytes, key, size, punctuation, what pages leave empty."""

DATABASE_ROW_BYTES = 166
"""Of a flip in PostgreSQL: the ETag's 32 digits, the row's header, numbers, the key as JSON, its entry in the index."""

MOST_JOURNAL_BYTES = 4 * 2**20
"""SQLite's write-ahead file is written back, and begun anew, when it is so long (sqlite.org/wal.html)."""

_NUMBERS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})
_WORDS = (
    "disk is full",
    "no space left",
    "read-only",
    "readonly",
    "unable to open",
    "cannot open",
    "i/o error",
    "quota",
)
"""How SQLite and DuckDB, which tell no number, call what the disk has refused."""


def free_bytes(directory: Path) -> int:
    """Return what this user may still write on the disk of a directory. Raises ``RunDirectoryError``."""
    try:
        return shutil.disk_usage(directory).free
    except OSError as error:
        raise RunDirectoryError(f"{directory} cannot be looked at: {error.strerror or error}") from error


def disk_hint(error: Exception) -> str:
    """Return what to do about an error where it is the disk's; empty where it is something else."""
    number = getattr(error, "errno", None)
    if number in _NUMBERS or any(word in str(error).lower() for word in _WORDS):
        return "Free space on the disk of RUN_DIR or point RUN_DIR elsewhere, then run again: nothing is lost."
    return ""


def ledger_bytes(rows: int, path_bytes: float, *, in_database: bool) -> int:
    """Return the size of the ledger of ``rows`` flips, whose old and new path have ``path_bytes`` bytes together.

    Of a file that is the most: where the paths of a batch differ by their beginnings alone, what is behind these is in
    it once.
    """
    size_bytes = round(rows * ((DATABASE_ROW_BYTES if in_database else FILE_ROW_BYTES) + path_bytes))
    return size_bytes if in_database else size_bytes + min(MOST_JOURNAL_BYTES, size_bytes)
