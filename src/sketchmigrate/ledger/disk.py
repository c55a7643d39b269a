"""The disk of RUN_DIR: how much room it has, and what to do about an error of it."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError

if TYPE_CHECKING:
    from pathlib import Path

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
