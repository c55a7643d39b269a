"""The lock of a run: held while it goes on, free however it ends, and no reason to stop where there is none."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.ledger.sqlite import lock
from sketchmigrate.ledger.sqlite.lock import LOCK_NAME, hold_run, is_held

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import subprocess, sys
from pathlib import Path
from sketchmigrate.ledger.sqlite.lock import hold_run
with hold_run(Path(sys.argv[1])):
    child = subprocess.Popen([sys.executable, "-c", "input()"], close_fds=False)
    print(child.pid, flush=True)
    child.wait()
"""


def look_at(directory: Path) -> int:
    """Hold the lock as someone does who looks whether it is held."""
    handle = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


def test_it_is_held_while_the_run_goes_on(tmp_path: Path) -> None:
    assert not is_held(tmp_path), "a run of an older version has none"
    with hold_run(tmp_path):
        assert is_held(tmp_path)
        assert is_held(tmp_path), "looking leaves it"
    assert not is_held(tmp_path)
    assert (tmp_path / LOCK_NAME).stat().st_mode & 0o777 == 0o600


def test_the_kernel_frees_it_from_a_run_that_was_killed(tmp_path: Path) -> None:
    """Also where a process that the run has started lives on."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        assert is_held(tmp_path)
        holder.kill()
        holder.wait()
        os.kill(child, 0)  # it is there, and waits for a line
        assert not is_held(tmp_path)


def test_whoever_looks_at_it_as_the_run_begins_is_waited_for(tmp_path: Path) -> None:
    """To look is to hold it for a moment, and a run without its lock would seem to be over to every rollback."""
    looks_away = threading.Timer(0.05, os.close, [look_at(tmp_path)])
    looks_away.start()
    with hold_run(tmp_path):
        looks_away.join()
        assert is_held(tmp_path)


def test_no_run_begins_without_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LOOK_SECONDS", 0.05)
    looking = look_at(tmp_path)
    with pytest.raises(RunDirectoryError, match=r"run\.lock is locked by another process"), hold_run(tmp_path):
        pass
    os.close(looking)


def test_a_file_system_without_locks_is_named_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_handle: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)  # no such file system can be mounted without privileges
    with caplog.at_level(logging.WARNING), hold_run(tmp_path):
        assert "run.lock cannot be locked (No locks available)" in caplog.text
        caplog.clear()
        assert not is_held(tmp_path)
        assert "run.lock cannot be locked (No locks available)" in caplog.text
