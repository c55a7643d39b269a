"""Whether a run goes on, told by a lock on a file in its directory: the kernel frees it however the run ends.

It is a file of its own: over NFS such a lock is one of ``fcntl``, with which SQLite locks the ledger (flock(2)).
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

LOCK_NAME = "run.lock"

LOOK_SECONDS = 5.0
"""For longer nobody looks at a lock who is not stuck."""

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}
"""What flock says of a lock that somebody holds; the last is that of NFS."""


@contextmanager
def hold_run(directory: Path) -> Iterator[None]:
    """Hold the lock of a run as long as the context lasts. Raises ``RunDirectoryError``.

    On a file system without such locks that is said, and the run goes on. It is not passed on to processes that this
    one starts. Who looks whether it is held, holds it for a moment itself, which is waited for.
    """
    path = directory / LOCK_NAME
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        hint = "Set RUN_DIR (or --run-dir) to a folder that you may write to."
        raise RunDirectoryError(f"{path} cannot be written: {error.strerror or error}", hint=hint) from error
    try:
        gives_up_at = time.monotonic() + LOOK_SECONDS
        while not _lock(handle, fcntl.LOCK_EX, path):
            if time.monotonic() >= gives_up_at:
                hint = "It tells others that this run goes on. fuser(1) names the process that has it."
                raise RunDirectoryError(f"{path} is locked by another process", hint=hint)
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def is_held(directory: Path) -> bool:
    """Whether somebody holds the lock of a run: it goes on. Runs of older versions have none.

    Where the file system does not tell, that is said, and it counts as over. Raises ``RunDirectoryError``.
    """
    path = directory / LOCK_NAME
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        hint = "It tells whether that run goes on: see to it that you may read it."
        raise RunDirectoryError(f"{path} cannot be read: {error.strerror or error}", hint=hint) from error
    try:
        return not _lock(handle, fcntl.LOCK_SH, path)
    finally:
        os.close(handle)


def _lock(handle: int, how: int, path: Path) -> bool:
    """Take a lock, without waiting; return whether nobody else holds it, as far as can be told."""
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        text = "%s cannot be locked (%s): nothing there tells a rollback whether this run goes on."
        log.warning(text, path, error.strerror or error)
    return True
